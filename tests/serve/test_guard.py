"""Who may ask, with what headers everything is answered, and what is not there."""

import re
from pathlib import Path

import pytest
from served import Page

import metaser_jax.serve


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1", "a:b:c"])
def test_other_names_are_not_served(port, host):
    refused = Page(port, opened=False).ask("GET", "/", host=host)
    assert refused.status == 403
    assert "not served here" in refused.error


@pytest.mark.parametrize("host", ["localhost:9999", "LOCALHOST", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000"])
def test_this_machine_and_numbers_are_served(port, host):
    assert Page(port, opened=False).ask("GET", "/", host=host).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "", "https://localhost.evil"])
def test_pages_of_other_sites_are_refused(page, origin):
    refused = page.ask("POST", "/api/pages", origin=origin)
    assert refused.status == 403
    assert "another site" in refused.error
    assert page.ask("GET", "/api/page", sec_fetch_site="cross-site").status == 403


def test_the_page_itself_is_not(port, page):
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
