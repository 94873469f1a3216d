"""What each corpus's builder knows: file names, emotions, documents. Names are tested as properties."""

import re
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_datasets.core import dataset_metadata

from metaser_jax import datasets
from metaser_jax.datasets.recordings import Excluded, Parsed, Unknown
from metaser_jax.datasets.registry import terms
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import InputError

# As the documentation has them, not as the builders do: code -> our emotion.
TESS = {emotion: emotion for emotion in ("angry", "disgust", "fear", "happy", "neutral", "sad")} | {"ps": "surprise"}
RAVDESS = dict(
    zip("12345678", ["neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"], strict=True)
)
SAVEE = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
EMODB = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral"}
EMOVO = {"dis": "disgust", "gio": "happy", "neu": "neutral", "pau": "fear", "rab": "angry", "sor": "surprise"}
EMOVO |= {"tri": "sad"}
SHEMO = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad", "W": "surprise", "F": "fear"}
URDU = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
IEMOCAP = {"ang": "angry", "hap": "happy", "neu": "neutral", "sad": "sad", "exc": "excited", "fru": "frustrated"}
IEMOCAP |= {"fea": "fear", "sur": "surprise", "dis": "disgust", "oth": "other"}


def pick(values):
    return st.sampled_from(sorted(values))


# The names that the documentation allows, with every part spelled out.
LEGAL = {
    "tess": (r"(?P<speaker>OAF|OA|YAF)_[a-z]+_(?P<code>angry|disgust|fear|happy|neutral|sad|ps)", TESS),
    "ravdess": (r"03-01-0(?P<code>[1-8])(-0[12]){3}-(?P<speaker>0[1-9]|1[0-9]|2[0-4])", RAVDESS),
    "savee": (r"((?P<speaker>DC|JE|JK|KL)_)(?P<code>a|d|f|h|n|sa|su)[0-9]{2}", SAVEE),
    "iemocap": (r"(?P<speaker>Ses0[1-5])[FM]_(impro[0-9]{2}|script[0-9]{2}_[0-9])[a-z]?_[FM][0-9]{3}", IEMOCAP),
    "emodb": (r"(?P<speaker>03|08|09|1[0-6])[ab][0-9]{2}(?P<code>[WLEAFTN])[a-f]", EMODB),
    "emovo": (r"(?P<code>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm][1-3])-[bdln][0-9]", EMOVO),
    "shemo": (r"(?P<speaker>[FM][0-9]{2})(?P<code>[AHNSWF])[0-9]{2}", SHEMO),
    "urdu": (r"(?P<speaker>S[MF][0-9]+)_F[0-9]+_(?P<code>[AHNS])[0-9]+", URDU),
}


def stems(name):
    return st.from_regex(re.compile(LEGAL[name][0], re.ASCII), fullmatch=True)


BUILDERS = {name: datasets.builder(name, tempfile.gettempdir()) for name in (*LEGAL, "demo_urdu")}
QUICK = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("name", LEGAL)
def test_every_legal_name_says_what_is_documented(name):
    pattern, emotion_of_code = LEGAL[name]

    @QUICK
    @given(stems(name), pick([".wav", ".WAV", ".flac"]), pick(IEMOCAP))
    def check(stem, suffix, code):
        said = BUILDERS[name].parse(PurePosixPath(stem + suffix), {stem: code} if name == "iemocap" else None)
        assert isinstance(said, Parsed), said
        parts = re.fullmatch(pattern, stem).groupdict()
        speaker = {"OA": "OAF"}.get(parts["speaker"], parts["speaker"])
        assert said.speaker == speaker + stem[-4] * (name == "iemocap")
        assert said.label == emotion_of_code[parts.get("code", code)]

    check()


def is_legal(name, stem):
    # The case is certain, but that labels in other files have one of their own.
    return re.fullmatch(LEGAL[name][0], stem, re.ASCII | re.IGNORECASE * (name != "iemocap")) is not None


def changed(name):
    """Legal names with one change, and any text."""
    letters = st.characters(exclude_characters="/\0", exclude_categories=("Cs",))

    @st.composite
    def change(draw):
        stem = draw(stems(name))
        at = draw(st.integers(0, len(stem)))
        kind = draw(pick(["replace", "insert", "delete", "digit"]))
        new = draw(st.one_of(pick("019-_ aAzZ"), letters))
        if kind == "digit":  # of another script, which int() and \\d take for one
            return re.sub(r"\d", "\u0663", stem, count=1)
        return stem[:at] + ("" if kind == "delete" else new) + stem[at + (kind != "insert") :]

    return st.one_of(change(), st.text(letters, min_size=1, max_size=30))


@pytest.mark.parametrize("name", LEGAL)
def test_every_other_name_is_an_error_that_says_what_is_expected(name):
    builder = BUILDERS[name]

    @QUICK
    @given(changed(name))
    def check(stem):
        path = PurePosixPath(f"{stem}.wav")
        # For a corpus that keeps its labels in other files, one with a label of this name.
        said = builder.parse(path, {path.stem: "ang"} if name == "iemocap" else None)
        if is_legal(name, path.stem):
            assert isinstance(said, Parsed)
        elif any(re.fullmatch(pattern, path.stem, re.ASCII) for pattern in builder.NOT_OURS):
            assert not isinstance(said, Parsed)
        else:
            assert isinstance(said, Unknown)
            assert builder.STEM_MEANS in said.reason or "expected one of: " in said.reason

    check()


def test_every_recording_of_the_real_corpora_is_legal(real_corpora):
    for name, speakers in {"ravdess": 24, "emodb": 10, "urdu": 29}.items():
        builder = BUILDERS[name]
        paths = sorted(Path(real_corpora, name).rglob("*.flac"))
        assert all(is_legal(name, path.stem) for path in paths)
        found = builder.listing(real_corpora)
        assert len(found.recordings) == len(paths) == builder.PUBLISHED.utterances
        assert not found.excluded
        assert len({recording.parsed.speaker for recording in found.recordings}) == speakers
        labels = [recording.parsed.label for recording in found.recordings]
        assert {label: labels.count(label) for label in FOUR_EMOTIONS} == builder.PUBLISHED.emotions


@pytest.mark.parametrize(
    ("name", "stem", "documented"),
    [
        ("tess", "OAF_Back_PS", "OAF_back_ps"),
        ("savee", "DC/SA12", "DC/sa12"),
        ("urdu", "Copy of SM1_F10_A010", "SM1_F10_A010"),
        ("urdu", "SM1_F10_A010 (1)", "SM1_F10_A010"),
        ("urdu", "SM1_F10_A010 - Copy (2)", "SM1_F10_A010"),
        ("ravdess", "03-01-05-01-02-01-12 copy 2", "03-01-05-01-02-01-12"),
    ],
)
def test_names_of_a_copy_or_in_another_case(name, stem, documented):
    builder = BUILDERS[name]
    said, expected = builder.parse(Path(stem + ".wav")), builder.parse(Path(documented + ".wav"))
    assert isinstance(expected, Parsed)
    assert said == expected._replace(stem=Path(documented).name)
    assert builder.key(Path(stem + ".wav"), said) == builder.key(Path(documented + ".wav"), expected)


@pytest.mark.parametrize(
    ("name", "stem", "expected"),
    [
        ("demo_urdu", "f12_sad_03", Parsed("f12", "sad", "sad")),
        ("emodb", "10b02Aa", Parsed("10", "anxiety/fear", "fear")),
        ("savee", "KL/DC/h02", Parsed("DC", "happiness", "happy")),  # in somebody's copy
        ("tess", "OA_bite_ps", Parsed("OAF", "pleasant surprise", "surprise")),  # lacks the F
        ("demo_urdu", "f1_bored_01", "'bored'"),
        ("emodb", "03a01Xa", "W anger"),
        ("savee", "DC/JE_a01", "DC, JE, JK or KL"),
        ("ravdess", "03-01-05-01-02-01-25", "actor (01 to 24)"),
        ("ravdess", "03-01-05-01-02-01-12x", "'03-01-05-01-02-01-12' in it"),
        ("tess", "289testOAF_such_fear7", "'OAF_such_fear' in it"),
    ],
)
def test_what_a_name_says_or_why_it_is_unknown(name, stem, expected):
    said = BUILDERS[name].parse(Path("any", stem + ".wav"))
    assert isinstance(said, Unknown) == isinstance(expected, str)
    assert expected in said.reason if isinstance(said, Unknown) else said == expected


def test_other_parts_of_ravdess_are_excluded_and_alone_an_error(recordings_dir):
    for stem in ("03-02-05-01-02-01-12", "01-01-05-01-02-01-12", "02-02-05-01-02-01-12"):
        assert isinstance(BUILDERS["ravdess"].parse(Path(stem + ".wav")), Excluded)
    (recordings_dir / "ravdess").mkdir()
    (recordings_dir / "ravdess" / "03-02-05-01-02-01-12.wav").touch()
    (recordings_dir / "ravdess" / "01-01-05-01-02-01-12.mp4").touch()
    with pytest.raises(InputError, match=r"found 1 \.mp4, 1 \.wav \(.*a song .*; from a video"):
        datasets.check("ravdess", recordings_dir)


def test_more_recordings_than_published(recordings_dir):
    folder = recordings_dir / "emodb"
    folder.mkdir()
    for i in range(536):
        (folder / f"{10 + i // 100}a{i % 100:02d}Wa.wav").touch()
    with pytest.raises(InputError, match=r"536 .* 535\. .*2\.0 release"):
        datasets.check("emodb", recordings_dir)
    next(folder.iterdir()).unlink()
    assert len(datasets.check("emodb", recordings_dir).recordings) == 535


def test_names_languages_and_licences_of_corpora(tmp_path):
    assert tuple(sorted(datasets.NAMES)) == datasets.NAMES
    assert {*datasets.PAPER, "demo_english", "iemocap/excited_as_happy", "shemo/corrected"} <= set(datasets.NAMES)
    for typed, name in {"TESS": "tess", "EMO-DB": "emodb", "ShEMO/corrected": "shemo/corrected"}.items():
        assert datasets.known_name(typed) == name
    for name in ("folder", "folder/", "folder/a b", "folder/../x", "folder/a/b"):
        with pytest.raises(InputError, match=f"got '{name}', expected .*folder/NAME"):
            datasets.builder(name, tmp_path)
    with pytest.raises(InputError, match="Did you mean 'ravdess'"):
        datasets.builder("ravdes", tmp_path)
    for option in ("language", "speaker_pattern"):
        with pytest.raises(InputError, match=f"--{option}.*folder/NAME.*urdu"):
            datasets.builder("urdu", tmp_path, **{option: "x"})
    assert terms("ravdess") == {"language": "English", "licence": "CC BY-NC-SA 4.0"}
    assert terms("shemo/corrected") == terms("shemo")
    assert terms("folder/mine") == {"language": None, "licence": "That of the recordings."}
    assert all(all(terms(name).values()) for name in datasets.NAMES)
    with pytest.raises(InputError, match="Did you mean 'emodb'"):
        terms("emodbb")


@pytest.mark.parametrize("name", [*datasets.NAMES, "folder/mine"])
def test_contract_of_a_builder(name, tmp_path):
    builder = datasets.builder(name, tmp_path)
    assert (builder.corpus_name, builder.name) == (name, name.partition("/")[0])
    assert len(builder.info.description) > 100
    assert builder.info.citation.startswith("@")
    assert set(builder.get_metadata().tags) <= set(dataset_metadata.valid_tags())
    assert "MANUAL_DIR/" in builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    assert set(FOUR_EMOTIONS) <= {label for _, label in builder.EMOTION_OF_CODE.values()} <= set(EMOTIONS)
    assert builder.layout.startswith(f"{builder.place}/")
    # What its documentation gives as an example is read.
    for example in (builder.LAYOUT, re.search(r"e\.g\. ([\w/-]+)", builder.STEM_MEANS)[1] + ".wav"):
        # For a corpus that has them in other files, one with a label of this file.
        label = {Path(example).stem: next(iter(builder.emotion_of_code))} if name.startswith("iemocap") else None
        assert isinstance(builder.parse(Path(example), label), Parsed)
    if builder.name in datasets.PAPER:
        assert set(builder.published.emotions) == set(FOUR_EMOTIONS)
        assert sum(builder.published.emotions.values()) <= builder.published.utterances
        assert 2 <= builder.published.mean_seconds <= 5
        assert builder.published.sample_rates
    else:
        assert builder.published is None
