"""Uploads: their size and speed, and several together."""

import contextlib
import dataclasses
import socket
import threading
import time

import pytest
from served import LIMITS, Page, serving, wav

from metaser_jax.serve import web


def send(page: Page, *parts: bytes, headers: str = "", wait: bool = True) -> str:
    """Raw bytes over a connection that is then closed on this side; returns what was answered."""
    head = f"POST /api/clips?name=a.wav HTTP/1.1\r\nHost: localhost\r\nX-Page: {page.token}\r\n"
    head += f"Connection: close\r\n{headers}\r\n"
    with socket.create_connection(("127.0.0.1", page.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"".join(parts))
        if not wait:
            return ""
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_too_large_by_its_own_word_is_refused_before_it_is_read(page):
    said = send(page, headers=f"Content-Length: {10**15}\r\n")
    assert " 413 " in said.splitlines()[0]
    assert "Larger than 1 MiB" in said


def test_too_large_without_a_word_is_refused_when_it_is(page):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    said = send(page, chunk * 17, headers="Transfer-Encoding: chunked\r\n")
    assert " 413 " in said.splitlines()[0]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "", "1, 2"])
def test_lengths_that_are_none(page, length):
    assert " 400 " in send(page, b"abc", headers=f"Content-Length: {length}\r\n").splitlines()[0]


def test_an_upload_that_breaks_off_leaves_nothing(page):
    send(page, b"RIFF", headers="Content-Length: 1000\r\n", wait=False)
    assert page.add(wav()).status == 201
    assert len(page.ask("GET", "/api/page").json["clips"]) == 1


@pytest.mark.parametrize("limit", ["pause", "in_all"])
def test_a_slow_upload_is_ended(model, limit):
    with serving(model, limits=dataclasses.replace(LIMITS, **{limit: 0.1})) as port:
        assert " 408 " in send(Page(port), b"RIFF", headers="Content-Length: 1000\r\n").splitlines()[0]


def test_slow_uploads_of_a_page_keep_no_other_page_waiting(port):
    slow, page = Page(port), Page(port)
    head = (
        f"POST /api/clips?name=a.wav HTTP/1.1\r\nHost: localhost\r\nX-Page: {slow.token}\r\nContent-Length: 99\r\n\r\n"
    )
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


def test_uploads_together(page):
    names = [f"{i}.wav" for i in range(LIMITS.max_clips)]
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(page.add(wav(300 + 9 * len(n)), n))) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201] * len(names)
    assert sorted(clip["name"] for clip in page.ask("GET", "/api/page").json["clips"]) == names
