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


@pytest.fixture
def iemocap(make_corpus):
    return make_corpus("iemocap")


def test_speaker_is_the_session_and_the_last_letter(iemocap, recordings_dir, tmp_path):
    datasets.prepare("iemocap", recordings_dir, tmp_path)
    corpus = datasets.load("iemocap", tmp_path)
    assert corpus.name == "iemocap"
    speakers = dict(zip(corpus.file, corpus.speaker, strict=True))
    assert speakers[TURN.format("M000")] == "Ses01M"
    assert speakers[TURN.format("F000")] == "Ses01F"
    assert set(speakers.values()) == {"Ses01M", "Ses01F", "Ses05F"}


def test_excited_is_apart_or_happy(iemocap, recordings_dir, tmp_path):
    apart = datasets.prepare("iemocap", recordings_dir, tmp_path)
    merged = datasets.prepare("iemocap/excited_as_happy", recordings_dir, tmp_path)
    assert (apart.counts()["happy"], apart.counts()["excited"]) == (1, 2)
    assert merged.counts()["happy"] == 3
    assert "excited" not in merged.counts()
    assert merged.emotions["happy", "excited"] == 2
    assert (apart.published.emotions["happy"], merged.published.emotions["happy"]) == (595, 1636)
    assert datasets.load("iemocap/excited_as_happy", tmp_path).name == "iemocap/excited_as_happy"
    assert datasets.prepared_names(tmp_path) == ["iemocap", "iemocap/excited_as_happy"]


def test_turns_without_agreement_and_whole_dialogs_are_listed(iemocap, recordings_dir, tmp_path, evaluation):
    write_sound(iemocap / "Session2/sentences/wav/Ses02F_impro03/Ses02F_impro03_F003.wav")
    write_sound(iemocap / "Session2/dialog/wav/Ses02F_impro03.wav")
    labels = iemocap / "Session2/dialog/EmoEvaluation/Ses02F_impro03.txt"
    labels.parent.mkdir(parents=True)
    labels.write_bytes(evaluation("Ses02F_impro03", {"F003": "xxx"}).replace("\n", "\r\n").encode() + b"\xff")
    statistics = datasets.prepare("iemocap", recordings_dir, tmp_path)
    assert statistics.excluded == (
        Left("Session2/dialog/wav/Ses02F_impro03.wav", "a whole dialog, of which the sentences are read"),
        Left("Session2/sentences/wav/Ses02F_impro03/Ses02F_impro03_F003.wav", "the listeners did not agree (xxx)"),
    )
    assert statistics.utterances == 12


def test_a_turn_without_a_label_is_an_error(iemocap, recordings_dir):
    write_sound(iemocap / TURN.format("F777"))
    with pytest.raises(
        InputError, match=r"F777\.wav: the corpus's label files have no label of it; they have 12 others"
    ):
        datasets.check("iemocap", recordings_dir)


def test_an_unknown_label_is_an_error(iemocap, recordings_dir):
    path = iemocap / LABELS
    path.write_text(path.read_text().replace("\thap\t", "\thappiness\t"))
    with pytest.raises(InputError, match="unknown emotion 'happiness', expected one of: ang anger"):
        datasets.check("iemocap", recordings_dir)


def test_contradicting_label_files(iemocap, recordings_dir, evaluation):
    other = iemocap / "copy/EmoEvaluation/Ses01F_impro01.txt"
    other.parent.mkdir(parents=True)
    other.write_text(evaluation("Ses01F_impro01", {"F000": "ang"}))
    datasets.check("iemocap", recordings_dir)
    other.write_text(evaluation("Ses01F_impro01", {"F000": "sad"}))
    with pytest.raises(InputError, match=r"EmoEvaluation/.* says (ang|sad|neu) of Ses01F_impro01_F000, another"):
        datasets.check("iemocap", recordings_dir)


def test_other_files_among_the_label_files(iemocap, recordings_dir):
    for name in ("README.txt", "._Ses01F_impro01.txt", "Ses01F_impro01.anvil", "Ses01F_impro01.txt.bak"):
        (iemocap / LABELS).with_name(name).write_text("nothing")
    datasets.check("iemocap", recordings_dir)


def test_label_files_that_are_missing_or_empty(iemocap, recordings_dir):
    (iemocap / LABELS).write_text("% nothing\n")
    with pytest.raises(InputError, match=r"Ses01F_impro01\.txt has no labels, expected lines such as"):
        datasets.check("iemocap", recordings_dir)
    for session in ("Session1", "SESSION5"):
        shutil.rmtree(iemocap / session / "dialog")
    with pytest.raises(InputError, match=r"no label file found, expected SessionN/dialog/EmoEvaluation/\*\.txt"):
        datasets.check("iemocap", recordings_dir)


@pytest.fixture
def shemo(make_corpus):
    return make_corpus("shemo")


def corrected(changes):
    stems = [*(f"F01{code}01" for code in "AHNSWF"), "M56N02"]
    named = dict(zip("AHNSWF", ("anger", "happiness", "neutral", "sadness", "surprise", "fear"), strict=True))
    return {
        f"{stem}_renamed.wav": {
            "path": f"shemo/{stem}.wav",
            "speech_name": stem,
            "emotion": changes.get(stem, named[stem[3]]),
        }
        for stem in stems
    }


def test_corrected_labels_of_shemo(shemo, recordings_dir, tmp_path):
    (shemo / "modified_shemo.json").write_text(json.dumps(corrected({"F01A01": "sadness"})))
    datasets.prepare("shemo", recordings_dir, tmp_path)
    datasets.prepare("shemo/corrected", recordings_dir, tmp_path)
    by_name, by_list = (datasets.load(name, tmp_path) for name in ("shemo", "shemo/corrected"))
    assert by_name.file.tolist() == by_list.file.tolist()
    changed = by_name.file[by_name.label != by_list.label].tolist()
    assert changed == ["female/F01A01.wav"]
    assert by_list.emotions[by_list.label[by_list.file == "female/F01A01.wav"][0]] == "sad"
    assert by_list.speaker.tolist() == by_name.speaker.tolist()


def test_the_lists_other_name_and_two_lists(shemo, recordings_dir):
    (shemo / "mShEMO.json").write_text(json.dumps(corrected({"M56N02": "anger"})))
    datasets.check("shemo/corrected", recordings_dir)
    (shemo / "modified_shemo.json").write_text(json.dumps(corrected({})))
    with pytest.raises(InputError, match=r"found modified_shemo\.json, mShEMO\.json"):
        datasets.check("shemo/corrected", recordings_dir)


def test_a_list_that_contradicts_itself(shemo, recordings_dir):
    labels = corrected({})
    labels["again.wav"] = {"speech_name": "F01A01", "emotion": "fear"}
    (shemo / "modified_shemo.json").write_text(json.dumps(labels))
    with pytest.raises(InputError, match=r"modified_shemo\.json: F01A01 is anger and fear\. Keep one of them"):
        datasets.check("shemo/corrected", recordings_dir)


def test_corrected_needs_its_list(shemo, recordings_dir):
    datasets.check("shemo", recordings_dir)
    with pytest.raises(InputError, match=r"needs one of modified_shemo\.json, .*, found none\.\n *Get female\.zip"):
        datasets.check("shemo/corrected", recordings_dir)


def test_a_recording_that_the_list_lacks(shemo, recordings_dir):
    labels = corrected({})
    del labels["M56N02_renamed.wav"]
    (shemo / "modified_shemo.json").write_text(json.dumps(labels))
    with pytest.raises(InputError, match=r"MALE/M56N02\.wav: the corpus's label files have no label of it"):
        datasets.check("shemo/corrected", recordings_dir)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be understood"),
        ("[1]", "cannot be understood"),
        ("[" * 100_000, "cannot be understood"),
        ('{"a": {"speech_name": "F01A01"}}', "an entry has no 'emotion'"),
        ('{"a": {"speech_name": "F01A01", "emotion": "calm"}}', "has unknown emotions 'calm', expected angry, happy"),
        ('{"a": {"speech_name": "F01A01", "emotion": "Fury"}}', "has unknown emotions 'Fury', expected angry, happy"),
    ],
)
def test_a_list_that_cannot_be_understood(shemo, recordings_dir, text, reason):
    (shemo / "modified_shemo.json").write_text(text)
    with pytest.raises(InputError, match=rf"modified_shemo\.json.*{reason}"):
        datasets.check("shemo/corrected", recordings_dir)


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
    listing = datasets.builder(name, recordings_dir / "data").listing(recordings_dir)
    assert len(listing.copies) == 1
    (folder / same[1]).write_bytes((folder / same[1]).read_bytes() + b"\0")
    with pytest.raises(InputError, match="the same speaker and file name twice, 1 times"):
        datasets.check(name, recordings_dir)
