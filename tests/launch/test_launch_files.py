"""The launchers by the flags of what they start, linters and schemas; each check also on a broken copy."""

import copy
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from program_flags import CALL, wrong

from metaser_jax.commands import COMMANDS, configured
from metaser_jax.training import cluster

pytestmark = pytest.mark.slow

LAUNCH = Path(__file__).parents[2] / "experiments" / "launch"
SCRIPTS = ("slurm.sbatch", "tpu_vm.sh", "local.sh")
JOBSETS = ("gke_jobset_gpu.yaml", "gke_jobset_tpu.yaml")
VERSIONS = ("1.31", kubernetes_validate.latest_version())
# JobSet's own fields, from the types of jobset.x-k8s.io/v1alpha2 (github.com/kubernetes-sigs/jobset, 0.10.1 and
# newer); its schema is in no package. A value is what a field may be: a type, a set of words, or the fields below it.
LISTS = ("onJobFailureReasons", "onJobFailureMessagePatterns", "targetReplicatedJobs")
ACTIONS = {"FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"}
RULE = {"name": str, "action": ACTIONS} | dict.fromkeys(LISTS, list)
JOBSET = {
    "apiVersion": {"jobset.x-k8s.io/v1alpha2"},
    "kind": {"JobSet"},
    "metadata": dict,
    "spec": {
        "network": {"enableDNSHostnames": bool, "subdomain": str, "publishNotReadyAddresses": bool},
        "failurePolicy": {"maxRestarts": int, "rules": [RULE]},
        "replicatedJobs": [{"name": str, "replicas": int, "template": dict}],
    },
}


def misfits(value, allowed, at: str = "") -> list[str]:
    """Where a document has what JOBSET does not allow."""
    if isinstance(allowed, set):
        return [] if value in allowed else [f"{at}: {value!r}"]
    if isinstance(allowed, type):
        return [] if type(value) is allowed else [f"{at}: {value!r}"]
    if isinstance(allowed, list):
        return [m for i, item in enumerate(value) for m in misfits(item, allowed[0], f"{at}[{i}]")]
    unknown = [f"{at}.{name}: unknown" for name in value if name not in allowed]
    return unknown + [
        m for name in value if name in allowed for m in misfits(value[name], allowed[name], f"{at}.{name}")
    ]


def documents(path) -> list[dict]:
    return list(yaml.safe_load_all(path.read_text()))


def job_of(jobset: dict) -> dict:
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}}
    return job | {"spec": replicated["template"]["spec"]}


def codes_of(path) -> set:
    """Return what the linter of a script or Dockerfile complains of; linters come with the extra "test"."""
    name, *options = ["hadolint"] if path.name == "Dockerfile" else ["shellcheck", "--shell=bash"]
    tool = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    done = subprocess.run([tool, *options, "--format=json", path], capture_output=True, text=True, timeout=60)
    return {finding["code"] for finding in json.loads(done.stdout)}


@pytest.mark.parametrize("name", [*SCRIPTS, "Dockerfile"])
def test_linters_find_nothing(name):
    assert codes_of(LAUNCH / name) == set()


def test_every_script_is_checked_and_the_image_has_no_data_and_no_root():
    assert {path.name for path in LAUNCH.iterdir() if path.suffix in (".sh", ".sbatch")} == set(SCRIPTS)
    assert {path.name for path in LAUNCH.glob("*.y*ml")} == set(JOBSETS)
    text = (LAUNCH / "Dockerfile").read_text()
    assert "USER 1000:1000" in text
    sent = (LAUNCH / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(line for line in sent if line and not line.startswith(("#", "!"))) == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == {
        *("setup.py", "pyproject.toml", "README.md", "LICENSE", "metaser_jax", "experiments")
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", JOBSETS)
def test_kubernetes_schemas(name, version):
    kinds = []
    for document in documents(LAUNCH / name):
        kinds.append(document["kind"])
        if document["kind"] == "JobSet":
            assert misfits(document, JOBSET) == []
            document = job_of(document)
        kubernetes_validate.validate(document, version, strict=True)
    assert kinds.count("JobSet") == 1


def test_jobset_fields_can_fail():
    jobset = documents(LAUNCH / JOBSETS[1])[-1]
    jobset["spec"]["failurePolicy"]["rules"][0]["action"] = "Restart"
    jobset["spec"]["failurePolicy"]["maxRestart"] = 3
    assert misfits(jobset, JOBSET) == [
        ".spec.failurePolicy.maxRestart: unknown",
        ".spec.failurePolicy.rules[0].action: 'Restart'",
    ]


def dangling(jobset: dict) -> list[str]:
    """Mounts without a volume, and exit codes of the restart rules that the pods' rule does not report."""
    job = job_of(jobset)["spec"]
    pod, (on_codes, _) = job["template"]["spec"], job["podFailurePolicy"]["rules"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    containers = pod["initContainers"] + pod["containers"]
    found = [m["name"] for c in containers for m in c["volumeMounts"] if m["name"] not in volumes]
    if on_codes["onExitCodes"]["containerName"] not in [c["name"] for c in pod["containers"]]:
        found.append(on_codes["onExitCodes"]["containerName"])
    patterns = [p for rule in jobset["spec"]["failurePolicy"]["rules"] for p in rule["onJobFailureMessagePatterns"]]
    codes = {int(pattern.split()[-1]) for pattern in patterns if pattern.startswith("exit code ")}
    return found + [f"exit code {code}" for code in sorted(codes - set(on_codes["onExitCodes"]["values"]))]


@pytest.mark.parametrize("name", JOBSETS)
def test_parts_fit_together(name):
    jobset = documents(LAUNCH / name)[-1]
    assert dangling(jobset) == []
    spec, job = jobset["spec"], job_of(jobset)["spec"]
    actions = {rule["action"]: rule["onJobFailureMessagePatterns"] for rule in spec["failurePolicy"]["rules"]}
    assert actions["RestartJobSetAndIgnoreMaxRestarts"] == [f"exit code {cluster.PREEMPTED} ", "DisruptionTarget"]
    assert actions["FailJobSet"] == ["exit code 2 "]
    # One Job, whose pods jax counts; none of them is replaced alone.
    assert spec["replicatedJobs"][0]["replicas"] == 1
    assert (job["completionMode"], job["backoffLimit"]) == ("Indexed", 0)
    assert job["parallelism"] == job["completions"]

    broken = copy.deepcopy(jobset)
    broken["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["volumes"].pop()
    assert dangling(broken) != []


def joined(text: str) -> list[str]:
    """Return a script's lines: continued ones joined, and comments as if they were commands."""
    text = re.sub(r"^[ \t]*#[ \t]?", "", text, flags=re.MULTILINE)
    return re.sub(r"\\\n\s*", " ", text).splitlines()


def commands(text: str, suffix: str) -> list[str]:
    """Return the commands of a launcher; in YAML those of the containers, and what the comments say."""
    lines = joined(text)
    if suffix == ".yaml":
        lines += [" ".join(command) for document in yaml.safe_load_all(text) for command in of_containers(document)]
    return lines


def of_containers(node) -> list[list[str]]:
    if isinstance(node, dict):
        own = [node["command"]] if isinstance(node.get("command"), list) else []
        return own + [command for child in node.values() for command in of_containers(child)]
    return [command for child in node for command in of_containers(child)] if isinstance(node, list) else []


LAUNCHERS = [path for path in sorted(LAUNCH.iterdir()) if path.is_file()]


def test_flags_exist_and_take_such_values():
    calls = {}
    for path in LAUNCHERS:
        lines = commands(path.read_text(), path.suffix)
        assert [problem for line in lines for problem in wrong(line)] == [], path.name
        calls[path.name] = sum(bool(given) for line in lines for *_, given in CALL.findall(line))
    has_calls = {"slurm.sbatch", "tpu_vm.sh", "gke_jobset_gpu.yaml", "gke_jobset_tpu.yaml", "local.sh", "README.md"}
    assert {name for name, n in calls.items() if n and name != "Dockerfile"} == has_calls


def test_names_with_an_underscore_are_flags_of_ours():
    """The schedulers' flags have none, so these are ours wherever they stand, in sentences, too."""
    known = {"preset"}
    for command in COMMANDS.values():
        known |= {field.name for field in dataclasses.fields(configured(command)[0])}
    for path in LAUNCHERS:
        named = set(re.findall(r"--([a-z]+(?:_[a-z]+)+)", path.read_text()))
        assert named <= known, path.name


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--run_dir=r --task_per_episode=8", "no --task_per_episode"),
        ("--tasks_per_episode=8", "needs --run_dir"),
        ("--run_dir=r --cluster=Slurm", "--cluster=Slurm is none of"),
    ],
)
def test_the_check_can_fail(flag, problem):
    assert problem in " ".join(wrong(f"python experiments/meta_train.py --data_dir=d --sources=a {flag}"))
