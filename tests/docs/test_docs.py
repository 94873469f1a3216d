"""The documents: code blocks run, commands have flags that programs know, public names have a page and keywords."""

import ast
import inspect
import json
import operator
import re
import shutil
from pathlib import Path

import pytest
from fakes import fake_model
from program_flags import CALL, flags_of, wrong
from subprograms import python

import metaser_jax
from metaser_jax import parallel
from metaser_jax.commands import COMMANDS, GROUPS
from metaser_jax.recogniser.folder import save_model
from metaser_jax.specs.help_page import GENERAL

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the pages say that their reader has: a model folder, a waveform, a checkpoint.
GIVEN = "import numpy as np\nwaveform, sample_rate = np.sin(np.arange(30000) / 20).astype(np.float32), 16000\n"
# But for docs/model_folder.md, whose program is run by tests/recogniser/test_exported.py.
RUN = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8") and page.name != "model_folder.md"]


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    text = page.read_text(encoding="utf-8")
    assert {language for language, _ in BLOCK.findall(text)} <= {"python", "sh", "text", "csv"}
    outside = BLOCK.sub("", text)
    assert not re.search(r"^(    |\t)\S", re.sub(r"^( *[-*] .*\n)((?:  +.*\n)*)", "", outside, flags=re.M), re.M)


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_python_runs_as_it_is_printed(page, tmp_path):
    save_model(tmp_path / "saraiki", fake_model())
    shutil.copy(ROOT / "tests" / "recogniser" / "torch_files" / "zip.pt", tmp_path / "weights.pt")
    done = python("-c", GIVEN + "\n".join(blocks(page, "python")), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if page.name == "README.md":
        assert 0.5 < float(done.stdout.rpartition(" ")[2]) < 3, "four emotions and random clips: a loss of about log 4"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sh")], ids=lambda page: page.name)
def test_commands_have_flags_that_their_programs_know(page):
    for line in "".join(blocks(page, "sh")).splitlines():
        command = line.partition("  #")[0].strip()
        first, name = (*command.split(), "")[:2]
        if first == "make":
            assert f"\n{name}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), command
        elif first == "metaser":
            assert name in COMMANDS, command
            known = set(flags_of(name)[0]) | {option.name for option in GENERAL}
            assert set(re.findall(r"--(\w+)", command)) <= known, command
            # Arguments of commands that use a model may stand between flags.
            assert name in GROUPS["Use a model"] or wrong(command) == [], command
        elif first in (".", "git"):
            assert command.endswith(".venv/bin/activate"), command
        else:
            assert CALL.search(command), f"nothing is known of: {command}"
            assert wrong(command) == [], command
            assert all((ROOT / file).is_file() for file in re.findall(r"--flagfile=(\S+)", command)), command


def test_every_path_and_link_is_there():
    of_developers = ("WORKSPACE.md", "CONTRIBUTING.md", "CHANGELOG.md", "experiments/README.md")
    for page in (*PAGES, *(ROOT / name for name in of_developers)):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
        for path in re.findall(r"`((?:metaser_jax|tests|experiments)/[\w./]+?)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_notebooks_are_committed_without_outputs():
    for path in (ROOT / "docs" / "gallery").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), path.name


API = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))


@pytest.mark.parametrize("name", [*metaser_jax.__all__, *(f"parallel.{name}" for name in parallel.__all__)])
def test_a_public_name_is_documented(name):
    found = operator.attrgetter(name)(metaser_jax)
    assert inspect.getdoc(found)
    if name != "parallel":
        assert f"`metaser_jax.{name}`" in API, "docs/api has a heading for each"
        module = found.__module__ if found.__module__ != "metaser_jax.parallel" else "metaser_jax.training.parallel"
        assert f"::: {module}.{found.__name__}\n" in API, "and what it is, from its docstring"


def test_what_editors_see_is_what_is_there():
    tree = ast.parse(Path(metaser_jax.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(seen) == metaser_jax.__all__ == ast.literal_eval(tree.body[-1].value)
    for name in set(seen) - {"parallel"}:
        assert seen[name] == f"metaser_jax.{metaser_jax._MODULE_OF[name]}", name
    assert set(dir(metaser_jax)) >= set(metaser_jax.__all__)


@pytest.mark.parametrize("name", ["maml", "anil", "meta_sgd", "layer_rates"])
def test_keywords_are_spelled_out(name):
    parameters = inspect.signature(getattr(metaser_jax, name)).parameters
    assert not any(str(parameter).startswith("*") for parameter in parameters.values())
    for keyword in ("inner_optimizer", "inner_batch_size", "anneal_episodes", "multi_step_episodes", "execution"):
        assert parameters[keyword].kind is inspect.Parameter.KEYWORD_ONLY
        assert re.search(rf"\b{keyword}\b", inspect.getdoc(metaser_jax.InnerOptions))


def test_types_travel_with_the_package():
    assert (Path(metaser_jax.__file__).parent / "py.typed").is_file()
    assert '"py.typed"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert f"version: {metaser_jax.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {metaser_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
