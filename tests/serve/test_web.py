"""HTTP below the application: who may ask, with what headers; uploads; the address, and the whole command as typed."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import fake_model
from served import LIMITS, Page, serving, wav

import metaser_jax.serve
from metaser_jax.errors import InputError
from metaser_jax.recogniser.folder import save_model
from metaser_jax.serve import web
from metaser_jax.serve.web import address_of, is_open_to_others, listen


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 403) for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "a:b:c")),
        *((host, 200) for host in ("localhost:9999", "LOCALHOST", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000")),
    ],
)
def test_this_machine_and_numbers_are_served_and_no_other_name(port, host, status):
    assert Page(port, opened=False).ask("GET", "/", host=host).status == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "", "https://localhost.evil"])
def test_pages_of_other_sites_are_refused(port, page, origin):
    assert page.ask("POST", "/api/pages", origin=origin).status == 403
    assert page.ask("GET", "/api/page", sec_fetch_site="cross-site").status == 403
    own = {"origin": f"http://127.0.0.1:{port}", "sec_fetch_site": "same-origin"}
    assert page.ask("GET", "/api/page", **own).status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/page", "/nowhere"])
def test_headers(page, path):
    headers = page.ask("GET", path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_the_page_loads_nothing_from_elsewhere(page):
    folder = Path(metaser_jax.serve.__file__).parent / "page"
    for file in folder.iterdir():
        named = re.findall(r"(?:https?:)?//[a-z][^ \"']*", file.read_text(encoding="utf-8"))
        assert {name.rstrip("/") for name in named} <= {"http://www.w3.org/2000/svg", "http://localhost"}, file
        answer = page.ask("GET", f"/{file.name}")
        assert answer.status == 200
        assert answer.body == file.read_bytes()
    text = "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    for used in re.findall(r'(?:src|href|from|addModule)[=( ]"(/[^"]+)"', text):
        assert (folder / used.strip("/")).is_file(), used


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/api/nothing", 404), ("PUT", "/api/pages", 405), ("GET", "/../setup.py", 404), ("POST", "/", 405)),
        *(("GET", "/%2e%2e/sessions.py", 404), ("GET", "/sessions.py", 404), ("BREW", "/", 405)),
    ],
)
def test_what_is_not_there(page, method, path, status):
    refused = page.ask(method, path)
    assert refused.status == status
    assert refused.error


def send(page: Page, *parts: bytes, headers: str = "", wait: bool = True) -> str:
    """Raw bytes over a connection that is then closed on this side; returns what was answered."""
    head = f"POST /api/clips?name=a.wav HTTP/1.1\r\nHost: localhost\r\nX-Page: {page.token}\r\n"
    head += f"Connection: close\r\n{headers}\r\n"
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"".join(parts))
        if not wait:
            return ""
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_too_large_is_refused_by_its_own_word_or_when_it_is(page):
    said = send(page, headers=f"Content-Length: {10**15}\r\n")
    assert " 413 " in said.splitlines()[0]
    assert "1 MiB" in said
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    assert " 413 " in send(page, chunk * 17, headers="Transfer-Encoding: chunked\r\n").splitlines()[0]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "", "1, 2"])
def test_lengths_that_are_none(page, length):
    assert " 400 " in send(page, b"abc", headers=f"Content-Length: {length}\r\n").splitlines()[0]


@pytest.mark.parametrize("limit", ["PAUSE", "IN_ALL"])
def test_a_slow_upload_is_ended(port, limit, monkeypatch):
    monkeypatch.setattr(web, limit, 0.1)
    assert " 408 " in send(Page(port), b"RIFF", headers="Content-Length: 1000\r\n").splitlines()[0]


def test_slow_uploads_of_a_page_keep_no_other_page_waiting(port):
    slow, page = Page(port), Page(port)
    head = f"POST /api/clips?name=a HTTP/1.1\r\nHost: localhost\r\nX-Page: {slow.token}\r\nContent-Length: 99\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(head.encode() + b"RIFF")
        assert page.add(wav()).status == 201


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"]
)
def test_headers_that_never_end_are_not_waited_for(model, begun, monkeypatch):
    """Nor those of a connection's second request; a piece now and then does not help."""
    monkeypatch.setattr(web.TimedProtocol, "headers_seconds", 0.3)
    with serving(model) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(begun)
        connection.settimeout(0.05)
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < start + 20:
                try:
                    if not connection.recv(65536):
                        break
                except TimeoutError:
                    connection.sendall(b"a" if begun else b"")
        assert time.monotonic() < start + 10
        assert Page(port).opened["lost"] is False


def test_uploads_together_after_one_that_broke_off(page):
    send(page, b"RIFF", headers="Content-Length: 1000\r\n", wait=False)
    names = [f"{i}.wav" for i in range(LIMITS.max_clips)]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda name: page.add(wav(300), name), names))
    assert [answer.status for answer in answers] == [201] * len(names)
    assert sorted(clip["name"] for clip in page.clips()) == names


def test_a_free_port():
    with contextlib.closing(listen("127.0.0.1", 0)) as listening:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address_of(listening))
        assert not is_open_to_others(listening)
        with contextlib.closing(listen("0.0.0.0", 0)) as everywhere:
            assert is_open_to_others(everywhere)
        with pytest.raises(InputError, match=r"take another --port"):
            listen("127.0.0.1", listening.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        *(("127.0.0.1", -1, "--port"), ("127.0.0.1", 65536, "--port"), ("nowhere.invalid", 0, "nowhere.invalid")),
        *(("192.0.2.1", 0, "192.0.2.1"), ("a" * 300, 0, "--host")),
    ],
)
def test_an_address_that_is_none(host, port, said):
    with pytest.raises(InputError, match=said):
        listen(host, port)


PROGRAM = "import sys; from metaser_jax.commands import main; sys.argv[0] = 'metaser'; main()"


def command(*flags: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "serve", *flags]


def test_as_typed(tmp_path):
    save_model(tmp_path / "model", fake_model())
    started = subprocess.Popen(
        command(f"--model={tmp_path}/model", "--port=0", "--host=0.0.0.0"),
        env=os.environ | {"METASER_CACHE": "off"},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    try:
        said = started.stdout.readline()
        port = int(re.search(r"http://0\.0\.0\.0:(\d+)/", said)[1])
        assert Page(port, opened=False).ask("GET", "/").status == 200
        second = subprocess.run(
            command(f"--model={tmp_path}/model", f"--port={port}"), capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 2
        assert "take another --port" in second.stderr
    finally:
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=30)
    assert started.returncode == 0, errors
    assert errors.startswith("warning: --host=0.0.0.0 lets everyone")
    assert errors.endswith("Ended.\n")
    assert "Traceback" not in errors
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)), "it still listens"
