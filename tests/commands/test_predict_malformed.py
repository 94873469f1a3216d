"""metaser predict of everything that is no recording, in one call: an error each, the others printed."""

import csv
import io

import malformed
from fakes import fake_model
from memory import MOST_MEMORY
from subprograms import python

from metaser_jax.recogniser.folder import save_model

# The command as typed, and at its end the memory of the largest of its processes, in KiB.
PROGRAM = (
    MOST_MEMORY
    + """
import atexit, resource, sys
from metaser_jax.commands import main

def largest():
    of_workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return max(most_memory(), of_workers)

if __name__ == "__main__":
    atexit.register(lambda: print(largest(), file=sys.stderr))
    main()
"""
)


def test_malformed_files_in_one_call(tmp_path):
    (tmp_path / "files").mkdir()
    cases = malformed.cases(tmp_path / "files")
    save_model(tmp_path / "model", fake_model())
    (tmp_path / "program.py").write_text(PROGRAM)
    flags = ["predict", f"--model={tmp_path / 'model'}", "--format=csv", "--workers=2", "--"]
    run = python(tmp_path / "program.py", *flags, *(case.path for case in cases))
    assert run.returncode == 1, run.stderr[-2000:]
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    wrong = []
    for case in cases:
        # A member of an archive is "ARCHIVE: MEMBER".
        own = [row for row in rows if row["file"] == str(case.path) or row["file"].startswith(f"{case.path}: ")]
        failed = {bool(row["error"]) for row in own}
        if len(failed) != 1 or (case.expected != "either" and failed != {case.expected in ("error", "silent")}):
            wrong.append((case, own))
    assert not wrong
    assert all(bool(row["label"]) != bool(row["error"]) for row in rows)
    errors = [row for row in rows if row["error"]]
    assert run.stderr.count("\nerror: ") + run.stderr.startswith("error: ") == len(errors)
    assert f"{len(errors)} of {len(rows)} recordings failed." in run.stderr
    assert "Traceback" not in run.stderr
    kib = int(run.stderr.split()[-1])
    assert kib < 2**20
