"""Every flag in the launchers and their README exists in the program that it is for, and takes such a value."""

import dataclasses
import re

import pytest
import yaml
from program_flags import CALL, wrong

from metaser_jax.commands import COMMANDS, configured

pytestmark = pytest.mark.slow


def commands(text: str, suffix: str, joined) -> list[str]:
    """The commands of a launcher; in YAML those of the containers, and what the comments say."""
    lines = joined(text)
    if suffix == ".yaml":
        lines += [" ".join(command) for document in yaml.safe_load_all(text) for command in of_containers(document)]
    return lines


def of_containers(node) -> list[list[str]]:
    if isinstance(node, dict):
        own = [node["command"]] if isinstance(node.get("command"), list) else []
        return own + [command for child in node.values() for command in of_containers(child)]
    return [command for child in node for command in of_containers(child)] if isinstance(node, list) else []


def launchers(launch) -> list:
    return [path for path in sorted(launch.iterdir()) if path.is_file()]


def test_flags_exist_and_take_such_values(launch, joined):
    calls = {}
    for path in launchers(launch):
        lines = commands(path.read_text(), path.suffix, joined)
        assert [problem for line in lines for problem in wrong(line)] == [], path.name
        calls[path.name] = sum(bool(given) for line in lines for *_, given in CALL.findall(line))
    has_calls = {"slurm.sbatch", "tpu_vm.sh", "gke_jobset_gpu.yaml", "gke_jobset_tpu.yaml", "local.sh", "README.md"}
    assert {name for name, n in calls.items() if n and name != "Dockerfile"} == has_calls


def test_names_with_an_underscore_are_flags_of_ours(launch):
    """The schedulers' flags have none, so these are ours wherever they stand, in sentences, too."""
    known = {"preset"}
    for command in COMMANDS.values():
        known |= {field.name for field in dataclasses.fields(configured(command)[0])}
    for path in launchers(launch):
        named = set(re.findall(r"--([a-z]+(?:_[a-z]+)+)", path.read_text()))
        assert named <= known, path.name


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("--data_dir=d --sources=a --run_dir=r --task_per_episode=8", "no --task_per_episode"),
        ("--data_dir=d --sources=a --tasks_per_episode=8", "needs --run_dir"),
        ("--data_dir=d --sources=a --run_dir=r --cluster=Slurm", "--cluster=Slurm is none of"),
        ("--data_dir=d --sources=a --run_dir=r --preset=best", "--preset=best is none of"),
    ],
)
def test_the_check_can_fail(command, problem, launch):
    assert problem in " ".join(wrong(f"python experiments/meta_train.py {command}"))


def test_continued_lines_are_seen(launch, joined):
    text = '"$VENV/bin/python" experiments/meta_train.py \\\n  --data_dir="$D" \\\n  --no_such=1\n'
    assert "meta-train has no --no_such" in wrong(joined(text)[0])
