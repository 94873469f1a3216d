"""What programs say: bars for terminals alone, levels, and JSON."""

import io
import json
import sys
from pathlib import Path

import pytest

import metaser_jax
from metaser_jax import messages


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before():
    yield
    messages.say_how()


@pytest.mark.parametrize(
    ("stream", "how", "drawn"),
    [
        (Terminal, {}, True),
        (io.StringIO, {}, False),
        (Terminal, {"quiet": True}, False),
        (Terminal, {"log_format": "json"}, False),
    ],
)
def test_bars_are_for_terminals(monkeypatch, stream, how, drawn):
    monkeypatch.setattr(sys, "stderr", stream())
    messages.say_how(**how)
    with messages.progress_bar(total=3, desc="work") as bar:
        bar.update(3)
        bar.set_postfix(loss="1")
    assert ("work" in sys.stderr.getvalue()) == drawn
    assert list(messages.progress_bar("abc", shown=False)) == ["a", "b", "c"]


def test_every_bar_is_one_of_these():
    package = Path(metaser_jax.__file__).parent
    assert [p.name for p in package.rglob("*.py") if "import tqdm" in p.read_text(encoding="utf-8")] == ["messages.py"]


def test_quiet_keeps_warnings_and_errors(capsys):
    for quiet in (False, True):
        messages.say_how(quiet=quiet)
        for text in ("note: n", "warning: w", "error: e", "plain"):
            messages.say(text)
        messages.log("logged")
    assert capsys.readouterr() == ("logged\n", "note: n\nwarning: w\nerror: e\nplain\nwarning: w\nerror: e\n")


def test_json_has_a_level_and_no_prefix(capsys):
    messages.say_how(log_format="json")
    for text in ("note: n", "warning: w", "  indented"):
        messages.say(text)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["level"], one["message"]) for one in said] == [("info", "n"), ("warning", "w"), ("info", "indented")]
