"""Every code block of README.md and docs/: Python runs as it is printed, commands have flags that the programs know."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_model
from program_flags import CALL, flags_of, wrong

from metaser_jax import commands
from metaser_jax.commands import GROUPS
from metaser_jax.recogniser.folder import save_model
from metaser_jax.specs.help_page import GENERAL

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TORCH = ROOT / "tests" / "recogniser" / "torch_files" / "zip.pt"
# What the pages say that their reader has: a model folder, a waveform, a checkpoint.
GIVEN = "import numpy as np\nwaveform, sample_rate = np.sin(np.arange(30000) / 20).astype(np.float32), 16000\n"
# docs/model_folder.md's program is run by tests/recogniser/test_exported.py.
ELSEWHERE = {"model_folder.md": "test_exported.py"}
# Their arguments may stand between flags.
MODELS = GROUPS["Use a model"]


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    text = page.read_text(encoding="utf-8")
    assert {language for language, _ in BLOCK.findall(text)} <= {"python", "sh", "text", "csv"}
    outside = BLOCK.sub("", text)
    assert not re.search(r"^(    |\t)\S", re.sub(r"^( *[-*] .*\n)((?:  +.*\n)*)", "", outside, flags=re.M), re.M)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.name)
def test_python_runs_as_it_is_printed(page, tmp_path):
    if page.name in ELSEWHERE:
        tests = list((ROOT / "tests").rglob(ELSEWHERE[page.name]))
        assert any(page.name in test.read_text(encoding="utf-8") for test in tests)
        return
    save_model(tmp_path / "saraiki", fake_model())
    shutil.copy(TORCH, tmp_path / "weights.pt")
    program = GIVEN + "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    if page.name == "README.md":
        loss = float(done.stdout.rpartition(" ")[2])
        assert 0.5 < loss < 3, "four emotions and random clips: about log 4"
        assert np.isfinite(loss)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sh")], ids=lambda page: page.name)
def test_commands_have_flags_that_their_programs_know(page):
    seen = 0
    for line in "".join(blocks(page, "sh")).splitlines():
        command = line.partition("  #")[0].strip()
        seen += 1
        first = command.split()[0]
        if first == "make":
            assert f"\n{command.split()[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), command
        elif first == "metaser":
            name = command.split()[1]
            assert name in commands.COMMANDS, command
            known = set(flags_of(name)[0]) | {option.name for option in GENERAL}
            assert set(re.findall(r"--(\w+)", command)) <= known, command
            if name not in MODELS:
                assert wrong(command) == [], command
        elif first in (".", "git"):
            assert command.endswith(".venv/bin/activate"), command
        else:
            assert CALL.search(command), f"nothing is known of: {command}"
            assert wrong(command) == [], command
            for flagfile in re.findall(r"--flagfile=(\S+)", command):
                assert (ROOT / flagfile).is_file(), command
    assert seen


def test_every_path_and_link_is_there():
    for page in (*PAGES, *(ROOT / name for name in ("WORKSPACE.md", "CONTRIBUTING.md", "CHANGELOG.md"))):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
        for path in re.findall(r"`(metaser_jax/[\w./]+?)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_notebooks_are_committed_without_outputs():
    for path in (ROOT / "docs" / "gallery").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs"), path.name
            assert not cell.get("execution_count"), path.name
