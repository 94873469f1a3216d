"""Imports between rooms: WORKSPACE.md's table, held by the code; and what programs run without.

Four parts of training and one of datasets have a line of their own: the numeric core, and what needs no jax.
"""

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from subprograms import python

import metaser_jax

ROOT = Path(metaser_jax.__file__).parent
GROUND = {
    "types",
    "errors",
    "emotions",
    "cli",
    "messages",
    "extras",
    "specs",
    "processes",
    "jit_cache",
    "untrusted",
    "npz",
}
CORE = {"models", "meta", "training.sampling", "training.loops"}
SOUND = {"audio", "data", "datasets", "datasets.demo_voices"}
SUPPORT = {"training.parallel", "training.cluster", "results"}
WORK = {"training", "adaptation", "studies"}
RECOGNISER = {"recogniser"}
TOP = {"serve", "commands"}
# Modules that every room may import: the package itself, for its version, and its public names.
PUBLIC = {"", "parallel"}
# A room, and the rooms that it may import besides itself, lower rooms of its own floor, and the ground.
MAY = {
    "models": set(),
    "meta": {"models"},
    "training.sampling": {"models"},
    "training.loops": {"models", "meta", "training.sampling"},
    "audio": set(),
    "data": set(),
    "datasets": {"audio", "data"},
    "datasets.demo_voices": {"audio", "data"},
    "training.parallel": CORE | {"data"},
    "training.cluster": CORE | {"data", "training.parallel"},
    "results": CORE | {"data"},
    "report": {"results"},
    "recogniser": {"audio", "data", "models", "results", "report"},
    "training": CORE | SOUND | SUPPORT | {"report"},
    "adaptation": CORE | SOUND | SUPPORT | RECOGNISER | {"report", "training"},
    "studies": CORE | SOUND | SUPPORT | RECOGNISER | {"report", "training", "adaptation"},
    "serve": CORE | SOUND | SUPPORT | RECOGNISER | WORK | {"report"},
    "__main__": {"commands"},
    "commands": CORE | SOUND | SUPPORT | RECOGNISER | WORK | {"report", "serve"},
}
# How flags are parsed and shown is the commands' own.
PARSING = {"specs.flags", "specs.help_page"}
NEVER_JAX = GROUND | SOUND
CORE_PACKAGES = {"jax", "flax", "optax", "numpy"}


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name without "metaser_jax."."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, lazy: bool = True) -> Iterator[str]:
    """The modules that a file imports; without lazy those alone that are imported with it."""

    def below(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if lazy or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield child
                yield from below(child)

    for node in below(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in absolute() else node.module
                for alias in node.names
            )


@functools.cache
def absolute() -> frozenset[str]:
    return frozenset(f"metaser_jax.{name}" if name else "metaser_jax" for name in modules())


def own(name: str) -> str | None:
    """A module's name without "metaser_jax."; None if it is another package's."""
    return name.removeprefix("metaser_jax").lstrip(".") if name.partition(".")[0] == "metaser_jax" else None


@functools.cache
def targets_of(name: str, lazy: bool = True) -> frozenset[str]:
    """The package's modules, but for itself, that one imports."""
    return frozenset(filter(None, map(own, imports(modules()[name], lazy))))


def room(name: str) -> str:
    """Its first folder, or the part of a room that has a line of its own in the table."""
    part = ".".join(name.split(".")[:2])
    return part if part in MAY else name.partition(".")[0]


@pytest.mark.parametrize("of", sorted(MAY))
def test_a_room_imports_what_the_table_allows(of):
    may = MAY[of] | GROUND | PUBLIC | {of}
    names = [name for name in modules() if room(name) == of]
    assert [(name, target) for name in names for target in targets_of(name) if room(target) not in may] == []


def test_the_ground_stands_on_itself_and_no_flag_is_seen_below_the_commands():
    assert {room(name) for name in modules()} == GROUND | set(MAY) | PUBLIC, "every room is in the table"
    for name in modules():
        if room(name) in GROUND:
            assert set(map(room, targets_of(name))) <= GROUND, name
        if room(name) != "commands" and name not in PARSING:
            assert PARSING.isdisjoint(targets_of(name)), name


def test_no_room_stands_on_what_stands_on_it():
    """The rooms have no circle; nor have the modules."""
    of_rooms: dict[str, set[str]] = {}
    for name in modules().keys() - PUBLIC:
        of_rooms.setdefault(room(name), set()).update(map(room, targets_of(name) - PUBLIC))
    for graph in (of_rooms, {name: targets_of(name, lazy=False) for name in modules()}):
        left = {name: {t for t in targets if t in graph and t != name} for name, targets in graph.items()}
        while ready := [name for name, targets in left.items() if not targets & left.keys()]:
            for name in ready:
                del left[name]
        assert left == {}


def reached(name: str) -> set[str]:
    """Every module that importing one imports, packages on the way included."""
    known, found, todo = modules(), set(), [name]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found.add(one)
        if one in known:
            todo += [own(t) if own(t) is not None else f"!{t}" for t in imports(known[one], lazy=False)]
            todo += [one.rpartition(".")[0]] if "." in one else []
    return found


@pytest.mark.parametrize("of", sorted(NEVER_JAX))
def test_what_needs_no_jax_never_imports_it(of):
    for name in modules():
        if room(name) == of:
            packages = {one.removeprefix("!").partition(".")[0] for one in reached(name) if one.startswith("!")}
            assert not packages & {"jax", "jaxlib", "flax", "optax", "orbax"}, name


def test_the_core_imports_jax_flax_and_optax_alone():
    for name, path in modules().items():
        if room(name) in CORE:
            others = {t.partition(".")[0] for t in imports(path) if own(t) is None} - set(sys.stdlib_module_names)
            assert others <= CORE_PACKAGES, name


# What the numeric core runs without; of the package's names Predictor is not of it: it reads recordings.
ABSENT = ("tensorflow_datasets", "librosa", "soundfile", "sklearn", "matplotlib", "tqdm", "array_record")
WITHOUT_THE_REST = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))  # importing one is an ImportError
import metaser_jax, metaser_jax.training.loops.finetuning, metaser_jax.training.loops.meta_training
import metaser_jax.training.loops.pretraining
import metaser_jax.training.sampling.episodes, metaser_jax.training.sampling.minibatches, metaser_jax.training.parallel
[getattr(metaser_jax, name) for name in metaser_jax.__all__ if name != "Predictor"]
"""
# Checkpoints are a run's; tables of corpora are a training's; librosa's filters are made once and kept.
HEAVY = "orbax", "tensorflow_datasets", "librosa", "matplotlib", "tensorboardX", "starlette"
UNUSED = "import sys, {0}; sys.exit(' '.join({1} & sys.modules.keys()) or 0)".format


@pytest.mark.parametrize(
    "code",
    [
        WITHOUT_THE_REST,
        UNUSED("metaser_jax; metaser_jax.__version__, metaser_jax.InputError", {"jax"}),
        UNUSED("metaser_jax.audio.mfcc, metaser_jax.datasets", {"jax"}),
        UNUSED("metaser_jax.adaptation.few_clips", set(HEAVY)),
    ],
    ids=["core", "package", "preparing", "adapting"],
)
def test_nothing_is_imported_that_is_not_needed(code):
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
