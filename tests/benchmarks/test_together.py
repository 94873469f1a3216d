"""together.py: which clips each condition leaves, and that it starts."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

# Flags are a process's: the program's are defined where it is imported.
PROGRAM = """
import sys
import numpy as np
from absl import app
sys.path[:0] = [{tests!r}, {benchmarks!r}]
import together
from fakes import fake_corpus

corpus = fake_corpus(per_emotion=60, speakers=3)
test = np.flatnonzero(corpus.speaker != "s0")

def counts(condition, seed=0):
    at = together.heard(corpus, test, condition, seed)
    assert len(set(at)) == len(at) and set(at) <= set(test)
    assert (at == together.heard(corpus, test, condition, seed)).all()
    pairs = [corpus.label[at][corpus.speaker[at] == name] for name in ("s1", "s2")]
    return [np.bincount(label, minlength=4).tolist() for label in pairs]

assert counts("all") == counts("one") == [[20] * 4] * 2
assert [sum(one) for one in counts("8")] == [8, 8]
a, b = counts("uneven")
assert a == b and sorted(a) == [3, 3, 7, 20], a
assert any(np.argmax(a) != np.argmax(b) for a, b in (counts("uneven by voice", n) for n in range(5)))
a, b = counts("missing")
assert a == b and sorted(a) == [0, 20, 20, 20]
app.run(together.main, ["together", "--runs={out}", "--data_dir={out}", "--out={out}/found.json"])
"""


def test_conditions(tmp_path):
    benchmarks = str(TESTS.parent / "experiments" / "benchmarks")
    program = PROGRAM.format(tests=str(TESTS), benchmarks=benchmarks, out=tmp_path)
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    of = {"env": environment, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([sys.executable, "-c", program], **of)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "found.json").read_text() == "[]"
    assert "| method | condition | shots |" in done.stdout
