"""Public names: listed once for people and for tools, documented in the code and on a page, with their keywords."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import metaser_jax
from metaser_jax import parallel

ROOT = Path(__file__).resolve().parents[2]
PAGES = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
LEARNERS = ("maml", "anil", "meta_sgd", "layer_rates")


@pytest.mark.parametrize("name", [*metaser_jax.__all__, *(f"parallel.{name}" for name in parallel.__all__)])
def test_a_public_name_is_documented(name):
    found = metaser_jax
    for part in name.split("."):
        found = getattr(found, part)
    assert inspect.getdoc(found)
    if name != "parallel":
        assert f"`metaser_jax.{name}`" in PAGES, "docs/api has a heading for each"
        module = found.__module__ if found.__module__ != "metaser_jax.parallel" else "metaser_jax.devices.parallel"
        assert f"::: {module}.{found.__name__}\n" in PAGES, "and what it is, from its docstring"


def test_what_editors_see_is_what_is_there():
    tree = ast.parse(Path(metaser_jax.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(seen) == metaser_jax.__all__ == ast.literal_eval(tree.body[-1].value)
    for name in set(seen) - {"parallel"}:
        assert seen[name] == f"metaser_jax.{metaser_jax._MODULE_OF[name]}", name
    assert set(dir(metaser_jax)) >= set(metaser_jax.__all__)


@pytest.mark.parametrize("name", LEARNERS)
def test_keywords_are_spelled_out(name):
    learner = getattr(metaser_jax, name)
    parameters = inspect.signature(learner).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    for keyword in ("inner_optimizer", "inner_batch_size", "anneal_episodes", "multi_step_episodes", "execution"):
        assert parameters[keyword].kind is inspect.Parameter.KEYWORD_ONLY
        assert re.search(rf"\b{keyword}\b", inspect.getdoc(metaser_jax.InnerOptions))


def test_types_travel_with_the_package():
    assert (Path(metaser_jax.__file__).parent / "py.typed").is_file()
    assert '"py.typed"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert f"version: {metaser_jax.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {metaser_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
