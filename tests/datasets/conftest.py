"""Tiny recordings with real headers, in the naming of each corpus."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sounds import write_sound

# Each corpus as its archive lays it out, with folders in a case of their own; every emotion is there.
FILES = {
    "demo_urdu": ("f1_angry_03.wav", "f1_happy_00.wav", "m2_neutral_01.wav", "m2_sad_10.wav"),
    "emodb": (*(f"WAV/03a01{code}a.wav" for code in "WFNTLEA"), "WAV/16b10Wf.wav"),
    "emovo": (
        *(f"EMOVO/F1/{code}-f1-b1.wav" for code in ("dis", "gio", "neu", "pau", "rab", "sor", "tri")),
        "EMOVO/m3/rab-m3-n5.wav",
    ),
    "folder/saraiki": ("Anger/anna/1.wav", "happy/anna/1.wav", "NEUTRAL/bilal/1.wav", "Sadness/bilal/1.wav"),
    "iemocap": (
        *(f"Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F00{i}.wav" for i in range(10)),
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav",
        "SESSION5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F011.wav",
    ),
    "ravdess": (
        *(f"Actor_01/03-01-0{code}-01-01-01-01.wav" for code in range(1, 9)),
        "more/ACTOR_24/03-01-05-02-02-02-24.WAV",
    ),
    "savee": (
        *(f"AudioData/DC/{code}01.wav" for code in ("a", "d", "f", "h", "n", "sa", "su")),
        "AudioData/kl/n30.wav",
    ),
    "shemo": (*(f"female/F01{code}01.wav" for code in "AHNSWF"), "MALE/M56N02.wav"),
    "tess": (
        *(f"OAF_{code.title()}/OAF_back_{code}.wav" for code in ("angry", "fear", "sad")),
        *(f"OAF_{code}/OAF_back_{code}.wav" for code in ("disgust", "happy")),
        *("OAF_Pleasant_surprise/OAF_back_ps.wav", "OAF_neutral/OA_bite_neutral.wav"),
        "YAF_pleasant_surprised/YAF_young_ps.wav",
    ),
    "urdu": ("ANGRY/SM1_F10_A010.wav", "Happy/SF1_F1_H01.wav", "neutral/SM5_F2_N02.wav", "Sad/SM24_F3_S03.wav"),
}
# Rate in Hz and channels of originals that are not as most.
SOUND = {"emovo": (48000, 2), "tess": (24414, 1)}
_CODES = ("ang", "hap", "neu", "sad", "exc", "fru", "fea", "sur", "dis", "oth")


def _evaluation(dialog: str, code_of_turn: dict[str, str]) -> str:
    """Return a label file of IEMOCAP, as its release has them."""
    text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    for i, (turn, code) in enumerate(code_of_turn.items()):
        text += f"[{i}.2901 - {i}.9357]\t{dialog}_{turn}\t{code}\t[2.5000, 2.5000, 2.5000]\nC-E2:\tNeutral;\t()\n\n"
    return text


# What other files a corpus needs: path -> text.
LABEL_FILES = {
    "iemocap": {
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": _evaluation(
            "Ses01F_impro01", {f"F00{i}": code for i, code in enumerate(_CODES)} | {"M000": "ang"}
        ),
        "SESSION5/dialog/EmoEvaluation/Ses05M_script01_1b.txt": _evaluation("Ses05M_script01_1b", {"F011": "exc"}),
        # What one listener said, in another form.
        "Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01_e2_cat.txt": "Ses01F_impro01_F000 :Neutral; ()\n",
    },
}


@pytest.fixture
def evaluation() -> Callable[[str, dict[str, str]], str]:
    """evaluation(dialog, {turn: code}): the text of a label file of IEMOCAP."""
    return _evaluation


@pytest.fixture
def zipped() -> Callable[[Path], Path]:
    """zipped(folder): puts a folder into FOLDER.zip, and removes it."""

    def make(folder: Path) -> Path:
        archive = folder.with_name(f"{folder.name}.zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, path.relative_to(folder).as_posix())
        shutil.rmtree(folder)
        return archive

    return make


@pytest.fixture
def without_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `formats` is not installed."""
    monkeypatch.setattr("metaser_jax.datasets.labelled_files.is_installed", lambda: False)


@pytest.fixture
def corpus_files() -> dict[str, tuple[str, ...]]:
    """The files that make_corpus writes."""
    return FILES


@pytest.fixture
def recordings_dir(tmp_path: Path) -> Path:
    """A --manual_dir."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


@pytest.fixture
def make_corpus(recordings_dir: Path) -> Callable[[str], Path]:
    """Writes a small corpus and returns its folder."""

    def make(name: str) -> Path:
        folder = recordings_dir / name.removeprefix("folder/")
        rate, channels = SOUND.get(name, (16000, 1))
        for file in FILES[name]:
            write_sound(folder / file, rate=rate, channels=channels)
        for file, text in LABEL_FILES.get(name, {}).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        return folder

    return make
