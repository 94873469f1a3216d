"""Property tests: every name that a corpus's documentation allows says what it documents; every other is an error."""

import re
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser_jax import datasets
from metaser_jax.datasets.recordings import Parsed, Unknown
from metaser_jax.errors import InputError


def two_digits(first, last):
    return st.integers(first, last).map("{:02d}".format)


def word(alphabet, size=None):
    return st.text(alphabet, min_size=size or 1, max_size=size or 12)


LOWER = "abcdefghijklmnopqrstuvwxyz"
# As the documentation has them, not as the builders do: code -> our emotion.
TESS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sad",
}
RAVDESS = dict(
    zip(
        (f"0{i}" for i in range(1, 9)),
        ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"),
        strict=True,
    )
)
SAVEE = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
EMODB = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral"}
EMOVO = {
    "dis": "disgust",
    "gio": "happy",
    "neu": "neutral",
    "pau": "fear",
    "rab": "angry",
    "sor": "surprise",
    "tri": "sad",
}
SHEMO = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad", "W": "surprise", "F": "fear"}
URDU = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
IEMOCAP = {
    "ang": "angry",
    "hap": "happy",
    "neu": "neutral",
    "sad": "sad",
    "exc": "excited",
    "fru": "frustrated",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
}


@st.composite
def tess(draw):
    speaker, code = draw(st.sampled_from(["OAF", "OA", "YAF"])), draw(st.sampled_from(sorted(TESS)))
    return f"{speaker}_{draw(word(LOWER))}_{code}", {"OA": "OAF"}.get(speaker, speaker), TESS[code]


@st.composite
def ravdess(draw):
    code, actor = draw(st.sampled_from(sorted(RAVDESS))), draw(two_digits(1, 24))
    middle = "-".join(draw(two_digits(1, 2)) for _ in range(3))
    return f"03-01-{code}-{middle}-{actor}", actor, RAVDESS[code]


@st.composite
def savee(draw):
    speaker, code = draw(st.sampled_from(["DC", "JE", "JK", "KL"])), draw(st.sampled_from(sorted(SAVEE)))
    stem = code + draw(two_digits(1, 30 if code == "n" else 15))
    form = draw(st.sampled_from(["{0}/{1}", "{0}_{1}", "AudioData/{0}/{1}", "{0}/{0}_{1}", "ALL/{0}_{1}"]))
    return form.format(speaker, stem), speaker, SAVEE[code]


@st.composite
def emodb(draw):
    speaker = draw(st.sampled_from(["03", "08", "09", *map(str, range(10, 17))]))
    text = draw(st.sampled_from(["a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10"]))
    code = draw(st.sampled_from(sorted(EMODB)))
    return f"{speaker}{text}{code}{draw(st.sampled_from('abcdef'))}", speaker, EMODB[code]


@st.composite
def emovo(draw):
    speaker = draw(st.sampled_from(["f1", "f2", "f3", "m1", "m2", "m3"]))
    code = draw(st.sampled_from(sorted(EMOVO)))
    sentences = [f"{kind}{i + 1}" for kind, n in {"b": 3, "l": 4, "n": 5, "d": 2}.items() for i in range(n)]
    return f"{code}-{speaker}-{draw(st.sampled_from(sentences))}", speaker, EMOVO[code]


@st.composite
def shemo(draw):
    speaker = draw(st.one_of(two_digits(1, 31).map("F{}".format), two_digits(1, 56).map("M{}".format)))
    code = draw(st.sampled_from(sorted(SHEMO)))
    return f"{speaker}{code}{draw(two_digits(1, 99))}", speaker, SHEMO[code]


@st.composite
def urdu(draw):
    speaker = f"S{draw(st.sampled_from('MF'))}{draw(st.integers(1, 40))}"
    code = draw(st.sampled_from(sorted(URDU)))
    number = draw(st.integers(1, 100))
    return (
        f"{speaker}_F{draw(st.integers(1, 50))}_{code}{draw(st.sampled_from(['', '0']))}{number}",
        speaker,
        URDU[code],
    )


@st.composite
def iemocap(draw):
    """(stem, speaker, emotion), the code beside it."""
    session, markers, letter = draw(st.integers(1, 5)), draw(st.sampled_from("FM")), draw(st.sampled_from("FM"))
    dialog = draw(
        st.one_of(
            two_digits(1, 8).map("impro{}".format),
            st.tuples(two_digits(1, 3), st.integers(1, 3), st.sampled_from(["", "a", "b"])).map(
                lambda parts: "script{}_{}{}".format(*parts)
            ),
        )
    )
    code = draw(st.sampled_from(sorted(IEMOCAP)))
    stem = f"Ses0{session}{markers}_{dialog}_{letter}{draw(st.integers(0, 999)):03d}"
    return stem, f"Ses0{session}{letter}", IEMOCAP[code], code


LEGAL = {
    "tess": tess(),
    "ravdess": ravdess(),
    "savee": savee(),
    "iemocap": iemocap(),
    "emodb": emodb(),
    "emovo": emovo(),
    "shemo": shemo(),
    "urdu": urdu(),
}
BUILDERS = {name: datasets.builder(name, tempfile.gettempdir()) for name in LEGAL}
QUICK = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("name", LEGAL)
@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac"])
def test_every_legal_name_says_what_is_documented(name, suffix):
    @QUICK
    @given(LEGAL[name])
    def check(drawn):
        stem, speaker, emotion, *code = drawn
        path = PurePosixPath(stem + suffix)
        said = BUILDERS[name].parse(path, {path.stem: code[0]} if code else None)
        assert isinstance(said, Parsed), said
        assert (said.speaker, said.label) == (speaker, emotion)

    check()


def is_legal(name, path):
    """By patterns of what the documentation says, with every part spelled out."""
    patterns = {
        "tess": rf"(OAF|OA|YAF)_[a-z]+_({'|'.join(TESS)})",
        "ravdess": r"03-01-0[1-8](-0[12]){3}-(0[1-9]|1[0-9]|2[0-4])",
        "savee": r"((DC|JE|JK|KL)_)?(a|d|f|h|n|sa|su)[0-9]{2}",
        "iemocap": r"Ses0[1-5][FM]_(impro[0-9]{2}|script[0-9]{2}_[0-9])[a-z]?_[FM][0-9]{3}",
        "emodb": r"(03|08|09|1[0-6])[ab][0-9]{2}[WLEAFTN][a-f]",
        "emovo": r"(dis|gio|neu|pau|rab|sor|tri)-[fm][1-3]-[bdln][0-9]",
        "shemo": r"[FM][0-9]{2}[AHNSWF][0-9]{2}",
        "urdu": r"S[MF][0-9]+_F[0-9]+_[AHNS][0-9]+",
    }
    # The case is certain, but that labels in other files have one of their own.
    if not re.fullmatch(patterns[name], path.stem, re.ASCII | re.IGNORECASE * (name != "iemocap")):
        return False
    folders = {part.upper() for part in path.parts[:-1]} & {"DC", "JE", "JK", "KL"}
    return name != "savee" or len(folders | {path.stem[:2].upper()} & {"DC", "JE", "JK", "KL"}) == 1


def changed(name):
    """Legal names with one change, and any text."""
    letters = st.characters(exclude_characters="/\0", exclude_categories=("Cs",))

    @st.composite
    def change(draw):
        stem = draw(LEGAL[name])[0]
        at = draw(st.integers(0, len(stem)))
        kind = draw(st.sampled_from(["replace", "insert", "delete", "digit"]))
        new = draw(st.one_of(st.sampled_from("019-_ aAzZ"), letters))
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
        if is_legal(name, path):
            assert isinstance(said, Parsed)
        elif any(re.fullmatch(pattern, path.stem, re.ASCII) for pattern in builder.NOT_OURS):
            assert not isinstance(said, Parsed)
        else:
            assert isinstance(said, Unknown)
            assert builder.STEM_MEANS in said.reason or "expected one of: " in said.reason

    check()


@pytest.mark.parametrize("name", [name for name in LEGAL if name != "iemocap"])
def test_the_error_names_file_and_pattern(name, tmp_path):
    path = tmp_path / name / "somewhere" / "recording 1.wav"
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(InputError) as caught:
        datasets.check(name, tmp_path)
    assert f"somewhere/recording 1.wav: unknown name, expected {BUILDERS[name].STEM_MEANS}" in str(caught.value)


def test_every_recording_of_the_real_corpora_is_legal(real_corpora):
    for name in ("ravdess", "emodb", "urdu"):
        paths = sorted(Path(real_corpora, name).rglob("*.flac"))
        assert len(paths) == BUILDERS[name].PUBLISHED.utterances
        assert all(is_legal(name, PurePosixPath(path.name)) for path in paths)
