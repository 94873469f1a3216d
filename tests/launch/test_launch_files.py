"""The launchers by the linters and schemas of what reads them, and each of these checks on a broken copy."""

import copy
import json
import subprocess

import kubernetes_validate
import pytest
import yaml

from metaser_jax import cluster

pytestmark = pytest.mark.slow

SCRIPTS = ("slurm.sbatch", "tpu_vm.sh", "local.sh")
JOBSETS = ("gke_jobset_gpu.yaml", "gke_jobset_tpu.yaml")
VERSIONS = ("1.31", kubernetes_validate.latest_version())
# JobSet's own fields, from the types of jobset.x-k8s.io/v1alpha2 (github.com/kubernetes-sigs/jobset, 0.10.1 and
# newer); its schema is in no package. A value is what a field may be: a type, a set of words, or the fields below it.
JOBSET = {
    "apiVersion": {"jobset.x-k8s.io/v1alpha2"},
    "kind": {"JobSet"},
    "metadata": dict,
    "spec": {
        "network": {"enableDNSHostnames": bool, "subdomain": str, "publishNotReadyAddresses": bool},
        "failurePolicy": {
            "maxRestarts": int,
            "rules": [
                {
                    "name": str,
                    "action": {"FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"},
                    "onJobFailureReasons": list,
                    "onJobFailureMessagePatterns": list,
                    "targetReplicatedJobs": list,
                }
            ],
        },
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
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": replicated["template"]["spec"],
    }


def shellcheck(tool, path) -> list[dict]:
    done = subprocess.run(
        [tool("shellcheck"), "--shell=bash", "--format=json", path], capture_output=True, text=True, timeout=60
    )
    return json.loads(done.stdout)


def hadolint(tool, path) -> list[dict]:
    done = subprocess.run([tool("hadolint"), "--format=json", path], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def test_every_script_is_checked(launch):
    assert {path.name for path in launch.iterdir() if path.suffix in (".sh", ".sbatch")} == set(SCRIPTS)
    assert {path.name for path in launch.glob("*.y*ml")} == set(JOBSETS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck(script, launch, tool):
    assert shellcheck(tool, launch / script) == []


def test_shellcheck_can_fail(launch, tool, tmp_path):
    broken = tmp_path / "slurm.sbatch"
    broken.write_text((launch / "slurm.sbatch").read_text().replace('exit "$code"', "exit $cod"))
    assert {2154, 2086} <= {finding["code"] for finding in shellcheck(tool, broken)}


def test_hadolint(launch, tool):
    assert hadolint(tool, launch / "Dockerfile") == []


def test_hadolint_can_fail(launch, tool, tmp_path):
    broken = tmp_path / "Dockerfile"
    broken.write_text((launch / "Dockerfile").read_text().replace("python:3.11-slim", "python"))
    assert "DL3006" in {finding["code"] for finding in hadolint(tool, broken)}


def test_image_has_no_data_and_no_root(launch):
    text = (launch / "Dockerfile").read_text()
    assert "USER 1000:1000" in text
    sent = (launch / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(line for line in sent if line and not line.startswith(("#", "!"))) == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == {
        *("setup.py", "pyproject.toml", "README.md", "LICENSE", "metaser_jax", "experiments")
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", JOBSETS)
def test_kubernetes_schemas(name, version, launch):
    kinds = []
    for document in documents(launch / name):
        kinds.append(document["kind"])
        if document["kind"] == "JobSet":
            assert misfits(document, JOBSET) == []
            document = job_of(document)
        kubernetes_validate.validate(document, version, strict=True)
    assert kinds.count("JobSet") == 1


@pytest.mark.parametrize(
    "breaking",
    [
        lambda job: job["spec"].update(paralelism=2),
        lambda job: job["spec"]["template"]["spec"]["containers"][0].update(image=3),
        lambda job: job["spec"]["podFailurePolicy"]["rules"][0].pop("action"),
    ],
)
def test_kubernetes_schemas_can_fail(breaking, launch):
    job = job_of(documents(launch / JOBSETS[1])[-1])
    breaking(job)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[0], strict=True)


def test_jobset_fields_can_fail(launch):
    jobset = documents(launch / JOBSETS[1])[-1]
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
def test_parts_fit_together(name, launch):
    jobset = documents(launch / name)[-1]
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
