"""The two corpora whose labels are in other files: what IEMOCAP's listeners said, and ShEMO's corrected list."""

import json
import shutil

import pytest
from sounds import write_sound

from metaser_jax import datasets
from metaser_jax.datasets.recordings import Left
from metaser_jax.errors import InputError

TURN = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{}.wav"
LABELS = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
STEMS = [*(f"F01{code}01" for code in "AHNSWF"), "M56N02"]
NAMED = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness", "W": "surprise", "F": "fear"}


@pytest.fixture
def iemocap(make_corpus):
    return make_corpus("iemocap")


@pytest.fixture
def shemo(make_corpus):
    return make_corpus("shemo")


def corrected(folder, name="modified_shemo.json", without=(), **changes):
    """Write a list of labels: those of the names, but for the changes."""
    labels = {
        f"{stem}_renamed.wav": {"path": "x.wav", "speech_name": stem, "emotion": changes.get(stem, NAMED[stem[3]])}
        for stem in STEMS
        if stem not in without
    }
    (folder / name).write_text(json.dumps(labels))
    return labels


def refused(name, recordings_dir, reason):
    with pytest.raises(InputError, match=reason):
        datasets.check(name, recordings_dir)


def test_excited_is_apart_or_happy_and_the_last_letter_is_the_speaker(iemocap, recordings_dir, tmp_path):
    apart = datasets.prepare("iemocap", recordings_dir, tmp_path)
    merged = datasets.prepare("iemocap/excited_as_happy", recordings_dir, tmp_path)
    assert (apart.counts()["happy"], apart.counts()["excited"]) == (1, 2)
    assert merged.counts()["happy"] == 3
    assert "excited" not in merged.counts()
    assert merged.emotions["happy", "excited"] == 2
    assert (apart.published.emotions["happy"], merged.published.emotions["happy"]) == (595, 1636)
    assert datasets.prepared_names(tmp_path) == ["iemocap", "iemocap/excited_as_happy"]
    corpus = datasets.load("iemocap/excited_as_happy", tmp_path)
    assert corpus.name == "iemocap/excited_as_happy"
    speakers = dict(zip(corpus.file, corpus.speaker, strict=True))
    assert (speakers[TURN.format("M000")], speakers[TURN.format("F000")]) == ("Ses01M", "Ses01F")
    assert set(speakers.values()) == {"Ses01M", "Ses01F", "Ses05F"}


def test_turns_without_agreement_and_whole_dialogs_are_listed(iemocap, recordings_dir, evaluation):
    turn = write_sound(iemocap / "Session2/sentences/wav/Ses02F_impro03/Ses02F_impro03_F003.wav")
    dialog = write_sound(iemocap / "Session2/dialog/wav/Ses02F_impro03.wav")
    labels = iemocap / "Session2/dialog/EmoEvaluation/Ses02F_impro03.txt"
    labels.parent.mkdir(parents=True)
    labels.write_bytes(evaluation("Ses02F_impro03", {"F003": "xxx"}).replace("\n", "\r\n").encode() + b"\xff")
    for name in ("README.txt", "._Ses01F_impro01.txt", "Ses01F_impro01.anvil", "Ses01F_impro01.txt.bak"):
        (iemocap / LABELS).with_name(name).write_text("nothing")
    listing = datasets.check("iemocap", recordings_dir)
    assert listing.excluded == (
        Left(dialog.relative_to(iemocap).as_posix(), "a whole dialog, of which the sentences are read"),
        Left(turn.relative_to(iemocap).as_posix(), "the listeners did not agree (xxx)"),
    )
    assert len(listing.recordings) == 12


def test_labels_of_iemocap_that_are_wrong(iemocap, recordings_dir, evaluation):
    other = iemocap / "copy/EmoEvaluation/Ses01F_impro01.txt"
    other.parent.mkdir(parents=True)
    other.write_text(evaluation("Ses01F_impro01", {"F000": "ang"}))
    datasets.check("iemocap", recordings_dir)
    other.write_text(evaluation("Ses01F_impro01", {"F000": "sad"}))
    refused("iemocap", recordings_dir, r"EmoEvaluation/.* says (ang|sad) of Ses01F_impro01_F000")
    other.unlink()
    turn = write_sound(iemocap / TURN.format("F777"))
    refused("iemocap", recordings_dir, r"F777\.wav: .* no label of it")
    turn.unlink()
    labels = (iemocap / LABELS).read_text()
    (iemocap / LABELS).write_text(labels.replace("\thap\t", "\thappiness\t"))
    refused("iemocap", recordings_dir, "'happiness', expected one of: ang anger")
    (iemocap / LABELS).write_text("% nothing\n")
    refused("iemocap", recordings_dir, r"Ses01F_impro01\.txt has no labels")
    for session in ("Session1", "SESSION5"):
        shutil.rmtree(iemocap / session / "dialog")
    refused("iemocap", recordings_dir, r"no label file found")


def test_corrected_labels_of_shemo(shemo, recordings_dir, tmp_path):
    corrected(shemo, F01A01="sadness")
    datasets.prepare("shemo", recordings_dir, tmp_path)
    datasets.prepare("shemo/corrected", recordings_dir, tmp_path)
    by_name, by_list = (datasets.load(name, tmp_path) for name in ("shemo", "shemo/corrected"))
    assert by_name.file.tolist() == by_list.file.tolist()
    assert by_name.file[by_name.label != by_list.label].tolist() == ["female/F01A01.wav"]
    assert by_list.emotions[by_list.label[by_list.file == "female/F01A01.wav"][0]] == "sad"
    assert by_list.speaker.tolist() == by_name.speaker.tolist()


def test_corrected_needs_one_whole_list(shemo, recordings_dir):
    datasets.check("shemo", recordings_dir)
    refused("shemo/corrected", recordings_dir, r"modified_shemo\.json, .* none\.\n *Get female\.zip")
    corrected(shemo, "mShEMO.json", M56N02="anger")
    datasets.check("shemo/corrected", recordings_dir)
    labels = corrected(shemo)
    refused("shemo/corrected", recordings_dir, r"modified_shemo\.json, mShEMO\.json")
    (shemo / "mShEMO.json").unlink()
    labels["again.wav"] = {"speech_name": "F01A01", "emotion": "fear"}
    (shemo / "modified_shemo.json").write_text(json.dumps(labels))
    refused("shemo/corrected", recordings_dir, r"modified_shemo\.json: F01A01 is anger and fear")
    corrected(shemo, without=["M56N02"])
    refused("shemo/corrected", recordings_dir, r"MALE/M56N02\.wav: .* no label of it")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be understood"),
        ("[1]", "cannot be understood"),
        ("[" * 100_000, "cannot be understood"),
        ('{"a": {"speech_name": "F01A01"}}', "'emotion'"),
        ('{"a": {"speech_name": "F01A01", "emotion": "calm"}}', "'calm', expected angry, happy"),
        ('{"a": {"speech_name": "F01A01", "emotion": "Fury"}}', "'Fury', expected angry, happy"),
    ],
)
def test_a_list_that_cannot_be_understood(shemo, recordings_dir, text, reason):
    (shemo / "modified_shemo.json").write_text(text)
    refused("shemo/corrected", recordings_dir, rf"modified_shemo\.json.*{reason}")


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("savee", ("AudioData/DC/a01.wav", "ALL/DC_a01.wav")),
        ("tess", ("OAF_neutral/OA_bite_neutral.wav", "copy/OAF_bite_neutral.wav")),
    ],
)
def test_one_recording_under_two_names(name, same, make_corpus, recordings_dir):
    folder = make_corpus(name)
    (folder / same[1]).parent.mkdir()
    shutil.copy(folder / same[0], folder / same[1])
    assert len(datasets.check(name, recordings_dir).copies) == 1
    (folder / same[1]).write_bytes((folder / same[1]).read_bytes() + b"\0")
    refused(name, recordings_dir, ", 1 times, e.g. ")
