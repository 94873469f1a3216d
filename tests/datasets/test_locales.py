"""A corpus is the same bytes in every locale, Turkish too, where C's toupper makes no I of i."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from metaser_jax import datasets

LOCALES = ("en_US", "tr_TR", "de_DE")
PREPARE = """
import locale, sys
from metaser_jax import datasets

here, recordings, to, known = sys.argv[1:]
assert locale.setlocale(locale.LC_CTYPE) == here
datasets.prepare("demo_urdu", recordings, to)
assert len(datasets.load("demo_urdu", known)) == 4
assert locale.setlocale(locale.LC_CTYPE) == here, "what surrounds it is as it was"
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """Locales, compiled where this machine has what they are made of."""
    folder = tmp_path_factory.mktemp("locales")
    if not shutil.which("localedef"):
        pytest.skip("no localedef")
    for name in LOCALES:
        made = ["localedef", "-i", name, "-f", "UTF-8", str(folder / f"{name}.UTF-8")]
        if subprocess.run(made, capture_output=True).returncode > 1:  # 1: warnings
            pytest.skip(f"no source of the locale {name}")
    return folder


def content(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_every_locale_prepares_the_same_bytes_and_reads_the_others(make_corpus, recordings_dir, tmp_path, locales):
    make_corpus("demo_urdu")
    datasets.prepare("demo_urdu", recordings_dir, tmp_path / "known")
    running = {}
    for name in ("C", *(f"{name}.UTF-8" for name in LOCALES)):
        environment = os.environ | {"LOCPATH": str(locales), "LC_ALL": name}
        # Else Python takes C.UTF-8 for C.
        environment |= {"PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
        command = [sys.executable, "-c", PREPARE, name, recordings_dir, tmp_path / name, tmp_path / "known"]
        running[name] = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for name, process in running.items():
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0, said
        got = content(tmp_path / name / "demo_urdu" / "2.0.0")
        assert got == content(tmp_path / "known" / "demo_urdu" / "2.0.0"), name
