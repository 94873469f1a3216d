"""Folders of one's own, as people have them: for folder/NAME and for metaser adapt by the same rules."""

import os
import re
import unicodedata

import numpy as np
import pytest
from malformed import encoded, sound
from sounds import write_sound

from metaser_jax import datasets
from metaser_jax.audio.clips import read_clip
from metaser_jax.data.splits import speaker_folds, split
from metaser_jax.datasets.files import existing
from metaser_jax.datasets.labelled_files import labelled_files
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS, emotion_named
from metaser_jax.errors import InputError
from metaser_jax.specs.labelling import Labelling

NAME = "folder/mine"
WAV = encoded(sound(0.2))
JOSE, JOSE_NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))


@pytest.fixture
def place(recordings_dir):
    (recordings_dir / "mine").mkdir()
    return recordings_dir / "mine"


def put(place, *files):
    """Write recordings, of which no two have the same bytes."""
    for i, file in enumerate(files):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(WAV + file.encode() + bytes([i % 256]))


def each(*folders, emotions=("angry", "sad"), files=("1.wav", "2.wav")):
    return [f"{folder.format(emotion)}/{file}" for folder in folders for emotion in emotions for file in files]


def read(place, emotions=FOUR_EMOTIONS, **how):
    return labelled_files(place, emotions, Labelling(**how))


def speakers(place, **how):
    return {one.file: one.parsed.speaker for one in read(place, **how).recordings}


def labels(place, **how):
    return {one.file: one.parsed.label for one in read(place, **how).recordings}


def message(place, **how):
    with pytest.raises(InputError) as caught:
        read(place, **how)
    return str(caught.value)


def test_names_of_emotions():
    words = {emotion: emotion for emotion in EMOTIONS} | {"furious": None, "": None, "calm": "calm"}
    words |= {"Anger": "angry", " sadness ": "sad", "Pleasant_Surprise": "surprise", "pleasant-surprise": "surprise"}
    assert {word: emotion_named(word) for word in words} == words


# Folders


def test_emotions_and_speakers_from_folders(place, recordings_dir, tmp_path):
    put(place, "Angry/anna/1.wav", "happiness/2.opus", "bilal/SAD/3.aiff", "neutral/.hidden.wav", "notes.txt")
    put(place, "north/carl/Sadness/4.mp3", "calm/5.flac")
    listed = read(place, (*FOUR_EMOTIONS, "calm"))
    assert {one.file: (one.parsed.label, one.parsed.speaker) for one in listed.recordings} == {
        "Angry/anna/1.wav": ("angry", "anna"),
        "bilal/SAD/3.aiff": ("sad", "bilal"),
        "calm/5.flac": ("calm", "unknown"),
        "happiness/2.opus": ("happy", "unknown"),
        "north/carl/Sadness/4.mp3": ("sad", "north/carl"),
    }
    assert [one.file for one in listed.recordings] == sorted(one.file for one in listed.recordings)
    assert (listed.left, listed.language) == ([], None)
    assert listed.notes == ("3 speakers: anna 1, bilal 1, north/carl 1; of 2 the speaker is not known.",)
    assert datasets.check(NAME, recordings_dir) == listed, "the builder lists the same"


@pytest.mark.parametrize("pattern", [r"(?P<speaker>spk\d+)_", r"(spk\d+)_(x)", r"(x)?(?P<speaker>spk\d+)", r"spk\d+"])
def test_speakers_from_a_pattern(place, recordings_dir, tmp_path, pattern):
    put(place, "angry/spk7_x001.wav", "happy/day2/spk12_x1.wav")
    assert list(speakers(place, speaker_pattern=pattern).values()) == ["spk7", "spk12"]
    found = datasets.check(NAME, recordings_dir, speaker_pattern=pattern).recordings
    assert [one.parsed.speaker for one in found] == ["spk7", "spk12"]


@pytest.mark.parametrize("extra", [False, True])
def test_all_that_cannot_be_used_is_in_one_error(place, recordings_dir, tmp_path, extra, request):
    put(place, *(f"furious/{i}.wav" for i in range(30)), "weird/anna/1.wav", "top.wav", "angry/sad/1.wav")
    put(place, "angry/fine.wav", "angry/1.m4a", "angry/spk7_2.wav")
    if not extra:
        request.getfixturevalue("without_formats")
    said = message(place)
    for part in (
        f"mine: {33 + (not extra)} of 36 recordings cannot be used",
        "and 25 more: no known emotion in the folders 'furious', expected one of: angry, happy, neutral",
        "top.wav: no known emotion in the folders ''",
        "angry/sad/1.wav: several emotions in the folders 'angry/sad'",
        "--skip_bad",
    ):
        assert part in said
    install = "angry/1.m4a: .m4a is not read, .* ffmpeg -i NAME.m4a NAME.wav, or pip install 'metaser_jax.formats.'"
    assert bool(re.search(install, said)) == (not extra)
    listed = labelled_files(place, FOUR_EMOTIONS, skip_bad=True)
    assert [one.file for one in listed.recordings] == ["1.m4a"] * extra + ["fine.wav", "spk7_2.wav"]
    assert len(listed.left) == 33 + (not extra)
    with pytest.raises(InputError, match=r"angry/fine\.wav: --speaker_pattern='\(spk7\)' finds no speaker"):
        datasets.check(NAME, recordings_dir, speaker_pattern="(spk7)")


def test_formats_that_are_prepared(place, recordings_dir, tmp_path):
    (place / "angry").mkdir()
    for suffix in ("wav", "flac", "mp3", "ogg"):
        (place / "angry" / f"1_{suffix}.{suffix}").write_bytes(encoded(sound(1.0), 22050, suffix.upper()))
    datasets.prepare(NAME, recordings_dir, tmp_path)
    corpus = datasets.load(NAME, tmp_path)
    assert corpus.file.tolist() == [f"1_{suffix}.{suffix}" for suffix in ("flac", "mp3", "ogg", "wav")]
    loudness = corpus.mfcc[:, 5:30, 0].mean(1)  # mp3 and ogg change the samples
    np.testing.assert_allclose(loudness, loudness[-1], atol=30)
    assert loudness[0] == pytest.approx(loudness[-1], abs=0.01)


@pytest.mark.parametrize("wrapper", ["", "Mine"])
def test_in_an_archive(wrapper, place, recordings_dir, zipped):
    """Made of the folder's content, or of the folder."""
    put(place / wrapper, "angry/anna/1.wav", "sad/1.ogg")
    expected = [("angry/anna/1.wav", "anna"), ("sad/1.ogg", "unknown")]
    archive = zipped(place)
    assert list(speakers(archive).items()) == expected
    found = datasets.check(NAME, recordings_dir).recordings
    assert [(one.file, one.parsed.speaker) for one in found] == expected


def test_emotions_that_the_model_does_not_know(place):
    put(place, "calm/1.wav", "angry/1.wav", "fear/1.wav")
    listed = read(place, ("angry", "fear"))
    assert [one.parsed.label for one in listed.recordings] == ["angry", "fear"]
    assert [tuple(left) for left in listed.left] == [("calm/1.wav", "calm is none of angry, fear")]
    with pytest.raises(InputError, match="3 clips, of angry, calm, fear; expected some of happy, sad"):
        read(place, ("happy", "sad"))


def test_nothing_there(place, recordings_dir, monkeypatch):
    with pytest.raises(InputError, match="none does not exist"):
        read(place / "none")
    put(place, "angry/readme.md")
    with pytest.raises(InputError, match=r"found 1 \.md\. Expected layout: angry/clip1"):
        read(place)
    put(place, "1.wav", "angry/1.wav")
    with pytest.raises(InputError, match=r"1\.wav is a file"):
        read(place / "1.wav")
    (place / "1.wav").unlink()
    monkeypatch.chdir(place)
    assert labels(".") == {"1.wav": "angry"}
    with pytest.raises(InputError, match="has no folder 'other'"):
        datasets.check("folder/other", recordings_dir)


# Speakers


@pytest.mark.parametrize(
    ("folders", "people"),
    [
        *[((f"{w}anna/{{}}", f"{w}{{}}/bilal"), "anna bilal") for w in ("Sound Source/", "a/b/", "")],
        (("anna/{}/audio", "bilal/{}/audio"), "anna bilal"),
        (("dev/{}", "ravi/{}"), "dev ravi"),
        (("female/F01/{}", "male/M01/{}"), "female/F01 male/M01"),
        (("north/a/{}", "b/{}"), "north/a b"),
    ],
)
def test_folders_of_people_and_those_around_all_or_around_files(place, folders, people):
    put(place, *each(*folders))
    assert set(speakers(place).values()) == set(people.split())


def test_one_folder_around_all_is_asked_about(place):
    """As a Turkish corpus is published: "Sound Source" is nobody."""
    put(place, *each("Sound Source/{}", files=[f"{n}_{who}_acik.wav" for n in range(9) for who in ("kz", "mk")]))
    said = message(place)
    assert "all 36 recordings are in 'Sound Source'" in said
    pattern = re.search(r"--speaker_pattern='(.*)'   kz 18, mk 18", said)[1]
    assert set(speakers(place, speaker_pattern=pattern).values()) == {"kz", "mk"}
    for flag, expected in {"one": "one", "unknown": "unknown", "folders": "Sound Source"}.items():
        assert f"--speakers={flag} " in said
        assert set(speakers(place, speakers=flag).values()) == {expected}


@pytest.mark.parametrize(
    ("folders", "why"),
    [
        (["train/{}", "test/{}"], "'test' and 'train' are named as part of a split"),
        (["{}/Dev", "{}/valid"], "'dev' and 'valid' are named as part of a split"),
        (["anna/{}/strong", "anna/{}/normal", "bilal/{}/normal"], "'normal' and 'strong' are named as an intensity"),
        (["male/{}", "female/{}"], "'female' and 'male' are named as a sex"),
        (["Session1/{}", "Session2/{}"], "'session1' and 'session2' are named as a session"),
        (["anna/{}/near", "anna/{}/far", "bilal/{}/far"], "the folder 'far' is in 'anna' and 'bilal'"),
        (["anna/{}/evaluation", "anna/{}/training", "bilal/{}/training"], "'evaluation' and 'training' are named as"),
    ],
)
def test_folders_that_may_be_no_people_are_asked_about(place, folders, why):
    put(place, *each(*folders))
    said = message(place)
    assert why in said
    assert len(set(speakers(place, speakers="folders").values())) == len(folders)
    if "anna" in folders[0]:  # the level of the speakers is proposed
        pattern = re.search(r"--speaker_pattern='(.*)'   anna 8, bilal 4", said)[1]
        assert set(speakers(place, speaker_pattern=pattern).values()) == {"anna", "bilal"}


def test_numbers_in_file_names_may_be_speakers(place, tmp_path):
    """As ASED has them: a5-SENTENCE-REPETITION-SEX-SPEAKER; but not running numbers."""
    put(place, *(f"{e}/a{i}-0{s}-02.wav" for e in ("angry", "sad") for s in range(1, 4) for i in range(4)))
    (note,) = read(place).notes
    pattern = re.search(r"--speaker_pattern='([^']*)' finds 01 8, 02 8, 03 8", note)[1]
    assert set(speakers(place, speaker_pattern=pattern).values()) == {"01", "02", "03"}
    put(tmp_path / "other", *(f"{e}/{i}.wav" for e in FOUR_EMOTIONS for i in range(4)))
    assert read(tmp_path / "other").notes == ()


def test_recordings_without_a_speaker_are_not_split_by_speaker(place, recordings_dir, tmp_path):
    put(place, *(f"{emotion}/{'anna/' * (i % 2)}{i}.wav" for emotion in ("angry", "sad") for i in range(12)))
    for path in place.rglob("*.wav"):
        write_sound(path)
        path.write_bytes(path.read_bytes() + path.as_posix().encode())  # no two the same
    assert datasets.prepare(NAME, recordings_dir, tmp_path, language="Saraiki").language == "Saraiki"
    corpus = datasets.load(NAME, tmp_path).select(("angry", "sad"))
    assert (corpus.name, corpus.language) == (NAME, "Saraiki")
    split(corpus, "random")
    for divide in (lambda: split(corpus, "speaker"), lambda: speaker_folds(corpus, 2)):
        with pytest.raises(InputError, match=r"of 12 of its 24 utterances"):
            divide()


# One form of names


def test_a_name_in_two_forms_is_one(place):
    put(place, f"{JOSE}/angry/1.wav", f"{JOSE_NFD}/sad/2.wav", "ana/sad/3.wav")
    put(place, *(f"{unicodedata.normalize('NFD', 'Colère')}/ana/{i}.wav" for i in range(2)))
    assert set(speakers(place, map=("colère=angry",)).values()) == {JOSE, "ana"}
    put(place.parent, f"{JOSE_NFD}/angry/1.wav", f"{JOSE_NFD}/sad/2.wav")
    assert existing(place.parent / JOSE) == place.parent / JOSE_NFD
    assert existing(place / "none" / JOSE) == place / "none" / JOSE
    assert len(labels(place.parent / JOSE)) == 2


@pytest.mark.parametrize(("listed", "on_disk"), [(JOSE, JOSE_NFD), (JOSE_NFD, JOSE)])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_table_in_another_form(place, listed, on_disk, elsewhere):
    put(place.parent / "else" if elsewhere else place, f"{on_disk}/1.wav", "2.wav")
    start = "../else/" if elsewhere else ""
    (place / "labels.csv").write_text(f"path,emotion\n{start}{listed}/1.wav,angry\n{start}2.wav,sad\n")
    assert sorted(labels(place).values()) == ["angry", "sad"]


# The emotion elsewhere than in a folder of its name


@pytest.mark.parametrize(
    "files",
    [
        ["EB0_anger_1.wav", "EB0_happiness_1.wav", "MK1_anger_2.wav"],
        ["05Angry/1.wav", "02Happy/2.wav", "05Angry/3.wav"],
        ["angry_sadiq/1.wav", "happy_sadiq/2.wav", "angry_sadiq/3.wav"],
    ],
)
def test_the_error_proposes_the_pattern_that_reads_all(place, files):
    put(place, *files)
    said = message(place)
    assert "Replace or remove" not in said
    pattern = re.search(r"--emotion_pattern='(.*)'   angry 2, happy 1, of 3", said)[1]
    found = labels(place, emotion_pattern=pattern)
    assert [found[file] for file in files] == ["angry", "happy", "angry"]


def test_a_pattern_and_words_of_ones_own(place):
    put(place, "x_W_1.wav", "x_F_2.wav")
    said = message(place, emotion_pattern="_([A-Z])_", map=("F=happy",))
    assert "finds 'W', expected one of: angry, happy" in said
    assert list(labels(place, emotion_pattern="_([A-Z])_", map=("w=Anger", "F=happy")).values()) == ["happy", "angry"]
    assert "--map=A=angry,H=happy" in message(place, emotion_pattern="_([0-9])_")


def test_folders_in_another_language(place):
    put(place, *each("{}", emotions=("rabbia", "Gioia", "tristezza")))
    assert "--map=Gioia=EMOTION,rabbia=EMOTION,tristezza=EMOTION" in message(place)
    found = labels(place, map=("rabbia=angry", "gioia=joy", "TRISTEZZA=sad"))
    assert sorted(set(found.values())) == ["angry", "happy", "sad"]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"map": ("rabbia",)}, r"--map: got 'rabbia'"),
        ({"map": ("rabbia=angri",)}, r"--map=rabbia: got 'angri'.*Did you mean 'angry'"),
        ({"map": ("a=sad", "A=happy")}, r"--map: got 'a=sad,A=happy'"),
        ({"columns": ("file=path",)}, r"--columns: got 'file', expected one of: emotion, language, path, speaker"),
        ({"emotion_pattern": "("}, r"--emotion_pattern: got '\('"),
        ({"speaker_pattern": ""}, r"--speaker_pattern: got ''"),
        ({"speakers": "two"}, "--speakers: got 'two'"),
    ],
)
def test_what_is_said_of_a_folder_is_checked_at_once(how, reason):
    with pytest.raises(InputError, match=reason):
        Labelling(**how)


# Tables

CSV = "path,emotion,speaker,language\nclips/1.wav,Anger,anna,Saraiki\nclips/2.wav,sad,bilal,Saraiki\n"


@pytest.fixture
def clips(place):
    put(place, "clips/1.wav", "clips/2.wav")
    return place


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "\ufeff" + CSV.replace("\n", "\r\n"),
        CSV.replace("path,emotion", "Path, EMOTION "),
        CSV.replace("clips/", "clips\\"),
        CSV.replace("clips/1", "./clips/../clips/1") + ",,,\n",
        CSV.replace("\n", "\r"),
        CSV.replace(",", ", ").replace("sad", '"sad"'),
    ],
)
def test_csv(clips, recordings_dir, text):
    put(clips, "clips/3.wav")
    (clips / "labels.csv").write_bytes(text.encode())
    listing = datasets.check(NAME, recordings_dir)
    found = [(one.file, one.parsed.speaker, one.parsed.emotion, one.parsed.label) for one in listing.recordings]
    assert found == [("1.wav", "anna", "Anger", "angry"), ("2.wav", "bilal", "sad", "sad")]
    assert listing.language == "Saraiki"
    assert [tuple(left) for left in listing.excluded] == [("clips/3.wav", "labels.csv does not list it")]
    assert read(clips) == listing


def test_csv_of_recordings_elsewhere(clips, recordings_dir, tmp_path, zipped):
    """Beside the folder, of absolute paths, in an archive; with speakers by a pattern."""
    (clips / "labels.csv").write_text(CSV)
    assert datasets.prepare(NAME, recordings_dir, tmp_path, language="Saraiki").language == "Saraiki"
    with pytest.raises(InputError, match=r"--language='Urdu', .* 'Saraiki'"):
        datasets.check(NAME, recordings_dir, language="Urdu")
    archive = zipped(clips)
    assert len(datasets.check(NAME, recordings_dir).recordings) == 2
    archive.unlink()
    put(recordings_dir, "else/clips/1.wav", "else/clips/2.wav")
    text = f"path,emotion\nelse/clips/1.wav,happy\n{recordings_dir}/else/clips/2.wav,sad\n"
    (recordings_dir / "mine.csv").write_text(text)
    found = datasets.check(NAME, recordings_dir, speaker_pattern=r"clips/(\d)").recordings
    assert sorted((one.parsed.label, one.parsed.speaker) for one in found) == [("happy", "1"), ("sad", "2")]


def test_csv_beside_a_folder_of_its_name(place, recordings_dir):
    """The CSV says what the recordings are, and not the folders."""
    put(place, *(f"angry/{i}.wav" for i in (1, 2, 3)))
    text = "path,emotion,speaker\nmine/angry/1.wav,sad,anna\nmine/angry/2.wav,happy,bob\n"
    (place.parent / "Mine.CSV").write_text(text)
    listing = datasets.check(NAME, recordings_dir)
    found = [(one.parsed.label, one.parsed.speaker) for one in listing.recordings]
    assert found == [("sad", "anna"), ("happy", "bob")]
    assert [tuple(left) for left in listing.excluded] == [("mine/angry/3.wav", "Mine.CSV does not list it")]
    (place / "labels.csv").write_text("path,emotion\nangry/1.wav,sad\n")
    with pytest.raises(InputError, match=r"labels\.csv and Mine\.CSV both list"):
        datasets.check(NAME, recordings_dir)


@pytest.mark.parametrize("name", ["mine.csv", "any name.TSV"])
def test_a_csv_itself(place, name):
    put(place, "1.wav", "2.wav")
    put(place.parent / "elsewhere", "3.wav")
    table = place / name
    table.write_text(f"path\temotion\n1.wav\tsad\n../elsewhere/3.wav\thappy\n{place}/2.wav\tneutral\n")
    for given in (table, os.path.relpath(table)):
        found = read(given)
        expected = {"sad": "1.wav", "happy": "3.wav", "neutral": "2.wav"}
        assert {one.parsed.label: one.source.path.name for one in found.recordings} == expected
        assert all(read_clip(one.source).seconds > 0 for one in found.recordings)
        assert found.left == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column path and no column emotion"),
        ("file,emotion\na,b\n", "no column path; .* file, emotion.*--columns=path=file"),
        ("path,emotion\nclips/1.wav,\n", "line 2: no emotion"),
        ("path,emotion\n,sad\n", "line 2: no path"),
        (CSV + "clips/1.wav,sad,anna,Saraiki\n", r"clips/1\.wav is listed more than once"),
        (CSV.replace("bilal,Saraiki", "bilal,Urdu"), "has 2 languages"),
        (CSV.replace("Anger", "Fury"), "'Fury', expected one of: angry"),
        (b"path,emotion\n\xff\xfe,sad\n", "cannot be read as text"),
        ("path,emotion\n" + "x" * 300 + ".wav,sad\n", "no such file"),
        ("path,emotion\n" + "x" * 200_000 + ",sad\n", r"labels\.csv, line \d: field larger than field limit"),
        (CSV + "clips/9.wav,sad,a,Saraiki\nclips/2.txt,sad,a,Saraiki\n", r"clips/9\.wav: there is no such file"),
        (CSV.replace("clips/1.wav", "clips/01.wav"), r"clips/01\.wav: .*did you mean clips/1\.wav\?"),
        ("path,emotion\nclips/1.wav,rabbia\nclips/2.wav,gioia\n", "--map=rabbia=EMOTION,gioia=EMOTION"),
    ],
)
def test_bad_csv(clips, recordings_dir, text, reason):
    (clips / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=reason):
        datasets.check(NAME, recordings_dir)


def test_columns_that_are_not_there(clips):
    assert "--columns" in message(clips, columns=("path=file",))
    (clips / "labels.csv").write_text(CSV)
    assert "no column who" in message(clips, columns=("speaker=who",))


def test_a_table_with_other_columns(place):
    """As nEMO has it: a TSV beside a folder, with names that lack folder and suffix."""
    put(place, "samples/a_1.wav", "samples/b_1.wav")
    (place / "data.tsv").write_text("file_id\temotion\tspeaker_id\na_1\tanger\tA\nb_1\tsadness\tB\n")
    proposed = "--columns=path=COLUMN,emotion=COLUMN   if data.tsv lists the recordings; its columns: file_id"
    assert proposed in message(place)
    listed = read(place, columns=("path=file_id", "speaker=speaker_id"))
    found = [(one.file, one.parsed.label, one.parsed.speaker) for one in listed.recordings]
    assert found == [("a_1.wav", "angry", "A"), ("b_1.wav", "sad", "B")]
    put(place, "angry/anna/1.wav", "sad/bilal/1.wav")
    assert labelled_files(place, FOUR_EMOTIONS, skip_bad=True).notes[-1].startswith(proposed)


# Copies


@pytest.mark.parametrize("in_archive", [False, True])
def test_a_corpus_that_is_there_twice(tmp_path, in_archive, zipped):
    """As Kaggle has TESS and RAVDESS: all of it again, one folder deeper."""
    names = [f"OAF_{emotion}/OAF_{word}_{emotion}.wav" for emotion in FOUR_EMOTIONS for word in ("back", "bar")]
    for folder in ("TESS", "TESS/A"):
        put(tmp_path / "tess" / folder, *names)
    if in_archive:
        zipped(tmp_path / "tess")
    found = datasets.check("tess", tmp_path)
    assert sorted(one.file for one in found.recordings) == sorted(names)
    assert len(found.copies) == 8
    assert all("TESS/A" in left.file and "byte-identical copy" in left.reason for left in found.copies)


def test_copies_in_a_folder_of_ones_own(place):
    put(place, "anna/angry/1.wav", "bilal/sad/1.wav")
    for copy in ("mine/anna/angry/1.wav", "backup/anna/angry/1.wav", "anna/angry/Copy of 1.wav"):
        (place / copy).parent.mkdir(parents=True, exist_ok=True)
        (place / copy).write_bytes((place / "anna/angry/1.wav").read_bytes())
    assert speakers(place) == {"anna/angry/1.wav": "anna", "bilal/sad/1.wav": "bilal"}
    assert len(read(place).left) == 3


def test_identical_recordings_are_in_one_part(place, recordings_dir, tmp_path):
    for emotion in ("angry", "sad"):
        (place / emotion).mkdir()
        for i in range(41):  # the last is alone
            data = encoded(sound(0.2)) + f"{emotion}{i // 2}".encode()
            (place / emotion / f"{i}.wav").write_bytes(data)
    assert datasets.prepare(NAME, recordings_dir, tmp_path).language == "unknown language"
    corpus = datasets.load(NAME, tmp_path).select(("angry", "sad"))
    groups = {(file.split("/")[0], int(file.split("/")[1].removesuffix(".wav")) // 2) for file in corpus.file}
    assert len(np.unique(corpus.same)) == len(groups) == 42
    for seed in range(5):
        parts = split(corpus, "random", seed)
        of_part = [set(corpus.same[part].tolist()) for part in (parts.train, parts.valid, parts.test)]
        assert not (of_part[0] & of_part[1] | of_part[0] & of_part[2] | of_part[1] & of_part[2])
        assert sum(map(len, (parts.train, parts.valid, parts.test))) == 82
