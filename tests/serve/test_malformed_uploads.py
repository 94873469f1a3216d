"""Whatever is uploaded is an answer: a clip, or an error for people; the server lives, and takes little memory."""

import contextlib
import http.client
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import fake_model
from malformed import Case, cases
from served import Answer, Page, serving

from metaser_jax.serve.app import Limits
from metaser_jax.serve.reading import Readers

MIB = 2**20
LIMITS = Limits(max_upload=32 * MIB, max_seconds=600.0, max_clips=1000)


def upload(page: Page, path: Path) -> Answer:
    if path.stat().st_size <= LIMITS.max_upload:
        return page.add(path.read_bytes(), path.name)
    # Refused by its length alone; the rest is not sent.
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/api/clips?name=large")
        connection.putheader("X-Page", page.token)
        connection.putheader("Content-Length", str(path.stat().st_size))
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def memory(pid: int | str, what: str) -> int:
    """Bytes: VmRSS that it has, VmHWM the most that it had."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("only Linux says how much memory a process has")
    return int(re.search(rf"{what}:\s+(\d+) kB", status.read_text())[1]) * 1024


def test_every_one_is_answered(tmp_path):
    files = [case for case in cases(tmp_path) if case.path.is_file()]
    assert len(files) > 50
    readers = Readers(2, 60.0, LIMITS.max_seconds)
    with serving(fake_model(), readers, LIMITS) as port:
        page = Page(port)
        whole = (tmp_path / "whole.wav").read_bytes()
        assert page.add(whole).status == 201
        before = memory("self", "VmRSS")

        def answer(case: Case) -> str | None:
            got = upload(page, case.path)
            if got.status == 201:
                return None if case.expected in ("reads", "either") else "reads"
            if got.status not in (413, 422) or case.expected == "reads":
                return f"{got.status} {got.body}"
            # For people, and nothing of where we are.
            return None if len(got.error) > 20 and str(tmp_path) not in got.error else got.error

        with ThreadPoolExecutor(4) as pool:
            wrong = {case.name: said for case, said in zip(files, pool.map(answer, files), strict=True) if said}
        assert not wrong
        assert page.add(whole).status == 201
        assert memory("self", "VmRSS") - before < 400 * MIB
        for pid in readers.pids():
            assert memory(pid, "VmHWM") < 1024 * MIB
        read = [case for case in files if case.expected == "reads"]
        assert len(page.ask("GET", "/api/page").json["clips"]) >= len(read) + 2
