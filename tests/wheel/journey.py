"""The README's whole way as somebody walks it who has `pip install` and no clone: `make test-wheel`.

python tests/wheel/journey.py [PYTHON ...]

Builds the wheel, and for each Python (by default each of 3.11, 3.12 and 3.13 that is there) makes a virtual environment
of its own, installs it, and types in an empty folder what README.md says, on the demo's synthetic voices. After pip
nothing reaches a network, where the system can see to that.
"""

import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("python3.11", "python3.12", "python3.13")
# What is set for the machine, and not for a user's first day.
HIDDEN = ("PYTHONPATH", "METASER_CACHE", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS", "VIRTUAL_ENV")


def main(pythons: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="metaser_wheel_") as dist:
        for python in pythons:
            start = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="metaser_wheel_") as here:
                walk(python, Path(here), Path(dist))
            print(f"{python}: the whole way in {time.perf_counter() - start:.0f} s", flush=True)


def walk(python: str, here: Path, dist: Path) -> None:
    venv = here / "venv"
    call("make a virtual environment", [python, "-m", "venv", venv])
    bin_folder = venv / ("Scripts" if os.name == "nt" else "bin")
    pip = [bin_folder / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if not any(dist.iterdir()):
        # From a copy: building writes beside what is built.
        source = here / "source"
        for folder in ("metaser_jax", "experiments/flagfiles"):
            shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, source)
        call("build the wheel", [*pip, "wheel", "--no-deps", "--wheel-dir", dist, source])
    (wheel,) = dist.glob("*.whl")
    check_wheel(wheel)
    user = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    user |= {"HOME": str(here), "XDG_CACHE_HOME": str(here / "cache"), "PYTHONNOUSERSITE": "1"}
    call("pip install metaser_jax", [*pip, "install", wheel])
    metaser = bin_folder / "metaser"

    def types(*arguments: str, says: str = "", status: int = 0) -> None:
        """Type `metaser ARGUMENTS`, without a network."""
        command = [*without_network(), metaser, *arguments]
        said = call(f"metaser {' '.join(arguments)}", command, cwd=here, env=user, status=status)
        assert says in said, f"{arguments}: expected {says!r} in:\n{said}"

    types("--version", says="metaser_jax ")
    tones(here / "tones")
    types("predict", "--model=open", "tones", says="tones/angry/0.wav")
    types("adapt", "--support=tones", "--out=adapted", "--speakers=one", says="The model and its card are in adapted")
    types("predict", "adapted", "tones/sad", says="tones/sad/0.wav")
    types("meta-train", "--data_dir=.", "--sources=a", "--run_dir=r", says="pip install 'metaser_jax[train]'", status=2)
    types("serve", "--model=.", says="pip install 'metaser_jax[serve]'", status=2)
    call("pip install 'metaser_jax[demo,serve]'", [*pip, "install", f"{wheel}[demo,serve]"])
    types("demo", "--shots=5", says="Report with pictures: ")
    clips(here, here / "runs" / "demo" / "recordings" / "demo_urdu")
    *commands, server = commands_of_readme()
    for command in commands:
        types(*command)
    (model,) = (flag.partition("=")[2] for flag in server if flag.startswith("--model="))
    types("predict", model, "new_recordings/", says="new_recordings/")
    types("adapt", "--init=runs/meta", "--support=clips", "-o", "own", says="The model and its card are in own")
    types("evaluate", f"--model={model}", "--support=other_clips", says="macro F1")
    types("export", f"--model={model}", "--to=npz", "--out=model.npz", says="model.npz")
    shutil.make_archive(str(here / "download"), "zip", here, model)
    types("info", "download.zip", says="digest")
    types("completion", "bash", says="complete -F _metaser metaser")
    types("table2", "--flagfile=table2_urdu", "--data_dir=nowhere", "--out=o", says="nowhere does not exist", status=2)
    serves([metaser, *server, "--port=0"], here, user)


def check_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    flagfiles = {path.name for path in (ROOT / "experiments" / "flagfiles").glob("*.flags")}
    assert flagfiles
    assert {f"metaser_jax/flagfiles/{name}" for name in flagfiles} <= names
    assert all(name.startswith(("metaser_jax/", "metaser_jax-")) for name in names)


def commands_of_readme() -> list[list[str]]:
    """What the README has people type behind `metaser`, training first and serve last, on corpora that are here."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("ravdess,emodb,tess", "demo_english,demo_german")
    blocks = re.findall(r"^```sh\n(.*?)^```$", readme, re.M | re.S)
    typed = [line.partition("#")[0].split() for line in "".join(blocks).splitlines()]
    found = [words[1:] for words in typed if words[:1] == ["metaser"] and words[1] != "demo"]
    order = ["prepare", "meta-train", "adapt", *(words[0] for words in found if words[0] != "serve"), "serve"]
    more = {"prepare": ["--manual_dir=runs/demo/recordings"]}
    return [words + more.get(words[0], []) for words in sorted(found, key=lambda words: order.index(words[0]))]


def tones(folder: Path) -> None:
    """Write folder/EMOTION/N.wav: buzzing, higher and louder for some emotions."""
    for emotion, pitch, loudness in (
        ("angry", 180, 0.9),
        ("happy", 240, 0.6),
        ("neutral", 120, 0.4),
        ("sad", 100, 0.2),
    ):
        (folder / emotion).mkdir(parents=True)
        for n in range(4):
            # A saw tooth has harmonics, as a voice has.
            rate, f0 = 16_000, pitch * (1 + n / 20)
            samples = [int(32_000 * loudness * ((t * f0 / rate) % 1 - 0.5)) for t in range(2 * rate)]
            with wave.open(str(folder / emotion / f"{n}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(rate)
                file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def clips(here: Path, recordings: Path) -> None:
    """Write clips/EMOTION/SPEAKER/, as many of two speakers; other_clips/ and new_recordings/ of others."""
    seen = Counter()
    for path in sorted(recordings.glob("*.wav")):
        speaker, emotion, _ = path.stem.split("_")
        seen[speaker, emotion] += 1
        known = speaker in ("f1", "m1")
        places = [f"clips/{emotion}/{speaker}"] if known else [f"other_clips/{emotion}/{speaker}", "new_recordings"]
        for place in places if seen[speaker, emotion] <= (5 if known else 2) else []:
            (here / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, here / place)


def serves(command: Sequence[str | Path], here: Path, user: dict[str, str]) -> None:
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=here, env=user, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+", process.stdout.readline())[0]
            with urllib.request.urlopen(address, timeout=30) as page:
                assert page.status == 200
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
    print(f"{time.perf_counter() - start:6.1f} s  metaser serve: the page answers", flush=True)


def without_network() -> list[str]:
    """Return what runs a command in a network of its own, which reaches nothing; nothing where there is none."""
    command = ["unshare", "--map-root-user", "--net"]
    return command if runs([*command, "true"]) else []


def call(name: str, command: Sequence[str | Path], status: int = 0, **keywords) -> str:
    start = time.perf_counter()
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run([str(one) for one in command], text=True, **pipes, **keywords)
    print(f"{time.perf_counter() - start:6.1f} s  {name}", flush=True)
    if done.returncode != status or "Traceback" in done.stdout:
        sys.exit(f"{name} ended with {done.returncode}, expected {status}:\n{done.stdout}")
    return done.stdout


def runs(command: Sequence[str]) -> bool:
    """Whether a command is there and ends well: a name on the path may be a shim that runs nothing."""
    return bool(shutil.which(command[0])) and subprocess.run(command, capture_output=True).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1:] or [python for python in PYTHONS if runs([python, "-c", ""])])
