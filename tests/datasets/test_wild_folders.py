"""Folders as people have them: wrappers, splits, other words and languages, tables of others, copies."""

import re
import unicodedata
import zipfile

import numpy as np
import pytest
from malformed import encoded, sound

from metaser_jax import datasets
from metaser_jax.data.splits import split
from metaser_jax.datasets.files import existing
from metaser_jax.datasets.labelled_files import labelled_files
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import Labelling

JOSE, JOSE_NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def put(place, *files, same=False):
    """Write recordings, of which no two have the same bytes."""
    for i, file in enumerate(files):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(encoded(sound(0.05)) + (b"" if same else file.encode() + bytes([i % 256])))


def each(*folders, emotions=("angry", "sad"), files=("1.wav", "2.wav")):
    return [f"{folder.format(emotion)}/{file}" for folder in folders for emotion in emotions for file in files]


def speakers(place, **how):
    listed = labelled_files(place, FOUR_EMOTIONS, Labelling(**how))
    return {one.file: one.speaker for one in listed.files}


def labels(place, **how):
    return {one.file: one.emotion for one in labelled_files(place, FOUR_EMOTIONS, Labelling(**how)).files}


def message(place, **how):
    with pytest.raises(InputError) as caught:
        labelled_files(place, FOUR_EMOTIONS, Labelling(**how))
    return str(caught.value)


# Who speaks


@pytest.mark.parametrize("wrapper", ["Sound Source/", "data/clips/", ""])
def test_a_folder_around_all_is_no_speaker(place, wrapper):
    put(place, *each(f"{wrapper}anna/{{}}", f"{wrapper}{{}}/bilal"))
    assert set(speakers(place).values()) == {"anna", "bilal"}


@pytest.mark.parametrize("inner", ["audio", "wav"])
def test_a_folder_around_each_speakers_files_is_none(place, inner):
    put(place, *each(f"anna/{{}}/{inner}", f"bilal/{{}}/{inner}"))
    assert set(speakers(place).values()) == {"anna", "bilal"}


def test_one_folder_around_all_is_asked_about(place):
    """As a Turkish corpus is published: "Sound Source" is nobody."""
    put(place, *each("Sound Source/{}", files=[f"{n}_{who}_acik.wav" for n in range(9) for who in ("kz", "mk")]))
    said = message(place)
    assert "all 36 recordings are in 'Sound Source', which is one speaker, or only a folder around them" in said
    assert "--speakers=one " in said
    pattern = re.search(r"--speaker_pattern='(.*)'   kz 18, mk 18", said)[1]
    assert set(speakers(place, speaker_pattern=pattern).values()) == {"kz", "mk"}
    assert set(speakers(place, speakers="one").values()) == {"one"}
    assert set(speakers(place, speakers="unknown").values()) == {"unknown"}
    assert set(speakers(place, speakers="folders").values()) == {"Sound Source"}


@pytest.mark.parametrize(
    ("folders", "why"),
    [
        (["train/{}", "test/{}"], "'test' and 'train' are named as part of a split"),
        (["{}/Dev", "{}/valid"], "'dev' and 'valid' are named as part of a split"),
        (["anna/{}/evaluation", "anna/{}/training", "bilal/{}/training"], "'evaluation' and 'training' are named as"),
        (["anna/{}/strong", "anna/{}/normal", "bilal/{}/normal"], "'normal' and 'strong' are named as an intensity"),
        (["male/{}", "female/{}"], "'female' and 'male' are named as a sex, of which there may be several"),
        (["Session1/{}", "Session2/{}"], "'session1' and 'session2' are named as a session or a part"),
        (["anna/{}/near", "anna/{}/far", "bilal/{}/far"], "the folder 'far' is in 'anna' and 'bilal', so one of"),
    ],
)
def test_folders_that_may_be_no_people_are_asked_about(place, folders, why):
    put(place, *each(*folders))
    said = message(place)
    assert why in said
    assert len(set(speakers(place, speakers="folders").values())) == len(folders)


def test_what_asks_proposes_the_level_of_the_speakers(place):
    put(place, *each("anna/{}/evaluation", "anna/{}/training", "bilal/{}/training"))
    pattern = re.search(r"--speaker_pattern='(.*)'   anna 8, bilal 4", message(place))[1]
    assert set(speakers(place, speaker_pattern=pattern).values()) == {"anna", "bilal"}


@pytest.mark.parametrize("folders", [["dev/{}", "ravi/{}"], ["female/F01/{}", "male/M01/{}"], ["north/a/{}", "b/{}"]])
def test_people_are_not_asked_about(place, folders):
    put(place, *each(*folders))
    expected = {folder.replace("/{}", "") for folder in folders}
    assert set(speakers(place).values()) == expected


def test_speakers_and_counts_are_told(place, tmp_path):
    put(place, *each("anna/{}", "bilal/{}"), "sad/9.wav")
    notes = labelled_files(place, FOUR_EMOTIONS).notes
    assert notes == ("2 speakers: anna 4, bilal 4; of 1 the speaker is not known.",)
    assert datasets.check("folder/mine", tmp_path).notes == notes


def test_numbers_in_file_names_may_be_speakers(place):
    """As ASED has them: a5-SENTENCE-REPETITION-SEX-SPEAKER."""
    put(place, *(f"{e}/a{i}-0{s}-02.wav" for e in ("angry", "sad") for s in range(1, 4) for i in range(4)))
    (note,) = labelled_files(place, FOUR_EMOTIONS).notes
    pattern = re.search(r"--speaker_pattern='([^']*)' finds 01 8, 02 8, 03 8", note)[1]
    assert set(speakers(place, speaker_pattern=pattern).values()) == {"01", "02", "03"}


def test_file_names_without_a_speaker_are_not_remarked_on(place):
    put(place, *(f"{e}/{i}.wav" for e in FOUR_EMOTIONS for i in range(4)))
    assert labelled_files(place, FOUR_EMOTIONS).notes == ()


# One form of names


def test_a_name_in_two_forms_is_one_speaker(place):
    put(place, f"{JOSE}/angry/1.wav", f"{JOSE_NFD}/sad/2.wav", "ana/sad/3.wav")
    assert set(speakers(place).values()) == {JOSE, "ana"}


@pytest.mark.parametrize(("listed", "on_disk"), [(JOSE, JOSE_NFD), (JOSE_NFD, JOSE)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_table_in_another_form(place, listed, on_disk, elsewhere):
    folder = place.parent / "else" if elsewhere else place
    put(folder, f"{on_disk}/1.wav", "2.wav")
    start = "../else/" if elsewhere else ""
    (place / "labels.csv").write_text(f"path,emotion\n{start}{listed}/1.wav,angry\n{start}2.wav,sad\n")
    assert sorted(labels(place).values()) == ["angry", "sad"]


def test_a_typed_name_in_another_form(place):
    put(place, f"{JOSE_NFD}/angry/1.wav", f"{JOSE_NFD}/sad/2.wav")
    assert existing(place / JOSE) == place / JOSE_NFD
    assert len(labels(place / JOSE)) == 2
    assert existing(place / "none" / JOSE) == place / "none" / JOSE


# The emotion elsewhere than in a folder of its name


@pytest.mark.parametrize(
    "files",
    [
        ["EB0_anger_1.wav", "EB0_happiness_1.wav", "MK1_anger_2.wav"],
        ["OAF_angry/1.wav", "OAF_happy/2.wav", "YAF_angry/3.wav"],
        ["05Angry/1.wav", "02Happy/2.wav", "05Angry/3.wav"],
        ["angry_sadiq/1.wav", "happy_sadiq/2.wav", "angry_sadiq/3.wav"],
    ],
)
def test_the_error_proposes_the_pattern_that_reads_all(place, files):
    put(place, *files)
    said = message(place)
    assert "mine: none of its 3 recordings says an emotion: " in said
    assert "expected a folder for each emotion" in said
    assert "Replace or remove" not in said
    pattern = re.search(r"--emotion_pattern='(.*)'   angry 2, happy 1, of 3", said)[1]
    found = labels(place, emotion_pattern=pattern)
    assert [found[file] for file in files] == ["angry", "happy", "angry"]


def test_a_pattern_and_words_of_ones_own(place):
    put(place, "x_W_1.wav", "x_F_2.wav")
    with pytest.raises(InputError, match=r"finds 'W', expected one of: angry, happy.*--map says what other words mean"):
        labelled_files(place, FOUR_EMOTIONS, Labelling(emotion_pattern="_([A-Z])_", map=("F=happy",)))
    assert list(labels(place, emotion_pattern="_([A-Z])_", map=("w=Anger", "F=happy")).values()) == ["happy", "angry"]
    said = message(place, emotion_pattern="_([0-9])_")
    assert "none of its 2 recordings says an emotion" in said
    assert "--map=A=angry,H=happy" in said


def test_folders_in_another_language(place):
    put(place, *each("{}", emotions=("rabbia", "Gioia", "tristezza")))
    said = message(place)
    assert "--map=Gioia=EMOTION,rabbia=EMOTION,tristezza=EMOTION" in said
    found = labels(place, map=("rabbia=angry", "gioia=joy", "TRISTEZZA=sad"))
    assert sorted(set(found.values())) == ["angry", "happy", "sad"]


def test_a_word_with_an_accent_in_two_forms(place):
    put(place, *each("{}", emotions=(unicodedata.normalize("NFD", "Colère"), "sad")))
    assert set(labels(place, map=("colère=angry",)).values()) == {"angry", "sad"}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"map": ("rabbia",)}, r"--map: got 'rabbia', expected rabbia=angry"),
        ({"map": ("rabbia=angri",)}, r"--map=rabbia: got 'angri', expected one of: .*Did you mean 'angry'"),
        ({"map": ("a=sad", "A=happy")}, r"--map: got 'a=sad,A=happy', which says one word twice"),
        ({"columns": ("file=path",)}, r"--columns: got 'file', expected one of: emotion, language, path, speaker"),
        ({"emotion_pattern": "("}, r"--emotion_pattern: got '\(', which is no regular expression"),
        ({"emotion_pattern": ""}, "it is empty"),
        ({"speakers": "two"}, "--speakers: got 'two', expected one of: auto, folders, one, unknown"),
    ],
)
def test_what_is_said_of_a_folder_is_checked_at_once(how, reason):
    with pytest.raises(InputError, match=reason):
        Labelling(**how)


# Tables of others


def test_a_table_with_other_columns(place):
    """As nEMO has it: a TSV beside a folder, with names that lack folder and suffix."""
    put(place, "samples/a_1.wav", "samples/b_1.wav")
    (place / "data.tsv").write_text("file_id\temotion\tspeaker_id\na_1\tanger\tA\nb_1\tsadness\tB\n")
    assert "--columns=path=COLUMN,emotion=COLUMN   if data.tsv lists the recordings; its columns: file_id" in message(
        place
    )
    listed = labelled_files(place, FOUR_EMOTIONS, Labelling(columns=("path=file_id", "speaker=speaker_id")))
    assert [(one.file, one.emotion, one.speaker) for one in listed.files] == [
        ("a_1.wav", "angry", "A"),
        ("b_1.wav", "sad", "B"),
    ]


def test_a_table_that_is_not_read_is_mentioned(place):
    put(place, "angry/anna/1.wav", "sad/bilal/1.wav")
    (place / "metadata.csv").write_text("name,who\n1,anna\n")
    notes = labelled_files(place, FOUR_EMOTIONS).notes
    assert notes[-1].endswith("if metadata.csv lists the recordings; its columns: name, who.")


def test_columns_that_are_not_there(place):
    put(place, "angry/1.wav")
    assert "--columns is for a table, and mine has no .csv or .tsv" in message(place, columns=("path=file",))
    (place / "labels.csv").write_text("path,emotion\nangry/1.wav,sad\n")
    said = message(place, columns=("speaker=who",))
    assert "has no column who; its first line is 'path,emotion'" in said
    (place / "labels.csv").write_text("file,label\nangry/1.wav,sad\n")
    assert "e.g. --columns=path=file,emotion=label" in message(place)


def test_a_typing_error_in_a_table(place):
    put(place, "clips/anna_01.wav", "clips/anna_02.wav")
    (place / "labels.csv").write_text("path,emotion\nclips/ana_01.wav,sad\nclips/anna_02.wav,angry\n")
    said = message(place)
    assert "clips/ana_01.wav: there is no such file; labels.csv lists it; did you mean clips/anna_01.wav?" in said
    assert "Fetch" not in said


def test_words_of_a_table(place):
    put(place, "1.wav", "2.wav")
    (place / "labels.csv").write_text("path,emotion\n1.wav,rabbia\n2.wav,gioia\n")
    assert "--map=rabbia=EMOTION,gioia=EMOTION" in message(place)


# Copies


@pytest.mark.parametrize("in_archive", [False, True])
def test_a_corpus_that_is_there_twice(tmp_path, in_archive):
    """As Kaggle has TESS and RAVDESS: all of it again, one folder deeper."""
    names = [f"OAF_{emotion}/OAF_{word}_{emotion}.wav" for emotion in FOUR_EMOTIONS for word in ("back", "bar")]
    for folder in ("tess/TESS", "tess/TESS/TESS"):
        for i, name in enumerate(names):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_bytes(encoded(sound(0.05)) + bytes([i]))
    if in_archive:
        with zipfile.ZipFile(tmp_path / "tess.zip", "w") as file:
            for path in sorted((tmp_path / "tess").rglob("*.wav")):
                file.write(path, path.relative_to(tmp_path / "tess"))
        (tmp_path / "tess").rename(tmp_path / "elsewhere")
    found = datasets.builder("tess", tmp_path / "data").listing(tmp_path)
    assert sorted(one.file for one in found.recordings) == sorted(names)
    assert len(found.copies) == 8
    assert all("TESS/TESS" in left.file and "byte-identical copy" in left.reason for left in found.copies)


def test_two_that_differ_are_an_error_that_names_their_folders(tmp_path):
    for folder in ("a", "b"):
        for i in range(30):
            put(tmp_path / "urdu", f"{folder}/SM1_F1_A{i}.wav")
    with pytest.raises(InputError) as caught:
        datasets.check("urdu", tmp_path)
    said = str(caught.value)
    assert "the same speaker and file name twice, 30 times, and the recordings differ:" in said
    assert "in a/ and in b/, 30 times, e.g. a/SM1_F1_A0.wav and b/SM1_F1_A0.wav" in said
    assert len(said.splitlines()) == 3


def test_copies_in_a_folder_of_ones_own(place):
    put(place, "anna/angry/1.wav", "bilal/sad/1.wav")
    for copy in ("mine/anna/angry/1.wav", "backup/anna/angry/1.wav", "anna/angry/Copy of 1.wav"):
        (place / copy).parent.mkdir(parents=True, exist_ok=True)
        (place / copy).write_bytes((place / "anna/angry/1.wav").read_bytes())
    listed = labelled_files(place, FOUR_EMOTIONS)
    assert [(one.file, one.speaker) for one in listed.files] == [
        ("anna/angry/1.wav", "anna"),
        ("bilal/sad/1.wav", "bilal"),
    ]
    assert len(listed.left) == 3


def test_identical_recordings_are_in_one_part(tmp_path):
    for emotion in ("angry", "sad"):
        for i in range(40):
            data = encoded(sound(0.2)) + f"{emotion}{i // 2}".encode()
            path = tmp_path / "mine" / emotion / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    datasets.prepare("folder/mine", tmp_path, tmp_path / "data")
    corpus = datasets.load("folder/mine", tmp_path / "data").select(("angry", "sad"))
    assert len(np.unique(corpus.same)) == 40
    for seed in range(5):
        parts = split(corpus, "random", seed)
        groups = [set(corpus.same[part].tolist()) for part in (parts.train, parts.valid, parts.test)]
        assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])
        assert sum(map(len, (parts.train, parts.valid, parts.test))) == 80


# Names of corpora


def test_names_as_people_write_them(tmp_path):
    assert datasets.known_name("TESS") == "tess"
    assert datasets.known_name("EMO-DB") == "emodb"
    assert datasets.known_name("ShEMO/corrected") == "shemo/corrected"
    put(tmp_path / "EMO-DB", "wav/03a01Fa.wav")
    assert len(datasets.builder("emodb", tmp_path / "data").listing(tmp_path).recordings) == 1
    with pytest.raises(InputError, match="Did you mean 'ravdess'"):
        datasets.check_name("RAVDES")


def test_names_of_another_corpus_are_not_to_be_removed(tmp_path):
    put(tmp_path / "tess", "a.wav", "b.wav")
    with pytest.raises(InputError) as caught:
        datasets.check("tess", tmp_path)
    assert "Replace or remove" not in str(caught.value)
    assert "prepare the recordings as folder/NAME: --emotion_pattern" in str(caught.value)
