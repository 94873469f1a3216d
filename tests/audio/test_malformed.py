"""Whatever a file is, it reads or is a RecordingError that says so; the process lives and its memory is bounded."""

import json
import tracemalloc

import malformed
import pytest
from memory import MOST_MEMORY
from subprograms import python

from metaser_jax.audio.clips import read_clip
from metaser_jax.datasets.files import audio_files
from metaser_jax.errors import RecordingError

# Reads the paths of its arguments, and regular files once more as uploads; {path: [what happened]} and memory.
READER = (
    MOST_MEMORY
    + """
import json, os, sys
from metaser_jax.audio import clips
from metaser_jax.errors import RecordingError

def outcome(source):
    try:
        clip = clips.read_clip(source)
        clips.check_audible(clip, str(source))
    except RecordingError as error:
        return "silent" if "silence" in error.reason else f"error {error}"
    assert len(clips.windows(clip).mfcc) > 0
    return "reads"

happened = {}
for path in sys.argv[1:]:
    happened[path] = [outcome(path)]
    if os.path.isfile(path) and os.path.getsize(path) < 2**25:
        with open(path, "rb") as file:
            happened[path].append(outcome(clips.Upload("an upload", file.read())))
print(json.dumps([happened, most_memory()]))
"""
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[malformed.Case]:
    return malformed.cases(tmp_path_factory.mktemp("malformed"))


def test_each_reads_or_is_an_error(cases):
    run = python("-c", READER, *(str(case.path) for case in cases))
    assert run.returncode == 0, run.stderr
    happened, kib = json.loads(run.stdout)
    assert sum(case.expected == "error" for case in cases) >= 50
    for case in cases:
        found = happened[str(case.path)]
        allowed = {"reads", "error", "silent"} if case.expected == "either" else {case.expected}
        assert len({said.split(" ")[0] for said in found}) == 1, (case, found)
        assert found[0].split(" ")[0] in allowed, (case, found)
        for said, name in zip(found, (str(case.path), "an upload"), strict=False):
            if said.startswith("error"):
                assert said.startswith(f"error {name}: ")
                assert "expected" in said
                assert len(said) < len(name) + 300
        if case.path.name in ("pipe.wav", "zero.wav"):
            assert "no regular file" in found[0]
    assert kib < 2**20


def test_a_folder_of_them_is_searched(cases):
    """What cannot be read is found when it is read, and stops nothing before."""
    folder = cases[0].path.parent
    found = audio_files([str(folder)])
    expected = {str(folder / name) for name in ("cut.zip", "pipe.wav", "link.wav", "phone.m4a")}
    assert expected <= {one.name for one in found}
    for one in found:
        if ".zip" in one.name:
            with pytest.raises(RecordingError, match="expected"):
                read_clip(one)


@pytest.mark.parametrize("name", ["bomb.zip", "lying_bomb.zip"])
def test_a_zip_bomb_stays_packed(cases, name):
    (member,) = audio_files([str(cases[0].path.parent / name)])
    tracemalloc.start()
    with pytest.raises(RecordingError, match=r"bomb\.zip: a\.wav: cannot be read"):
        read_clip(member)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**25
