"""Labelling options: where the names in a folder of recordings hold the emotion and the speaker."""

import dataclasses
import re
import unicodedata

from metaser_jax.emotions import EMOTIONS, emotion_named
from metaser_jax.errors import InputError, check_choice
from metaser_jax.specs.base import Spec, option, require

COLUMNS = ("path", "emotion", "speaker", "language")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelling(Spec):
    """Labelling of a folder of one's own, by its names or in its table (datasets/folder/README.md)."""

    TITLE = "Whose clips they are, and their emotions"

    speaker_pattern: str | None = option(None, common=True)
    """For recordings of your own: regular expression that finds the speaker in a recording's path below the folder: its
    group named speaker, or its first group, or all that matches. Otherwise the folders that are no emotion, or the
    table's column."""
    speakers: str = option("auto", choices=("auto", "folders", "one", "unknown"), common=True)
    """For recordings of your own, without --speaker_pattern: auto takes the folders that are no emotion for speakers,
    and asks where they may be something else; folders takes them as they are; one: all recordings are one speaker's;
    unknown: it is not known who speaks."""
    emotion_pattern: str | None = option(None, common=True)
    """For recordings of your own: regular expression that finds the emotion in a recording's path below the folder: its
    group named emotion, or its first group, or all that matches. Otherwise a folder is named as an emotion."""
    map: tuple[str, ...] = option((), common=True)
    """For recordings of your own: what your words for emotions mean, e.g. rabbia=angry,gioia=happy."""
    columns: tuple[str, ...] = option((), common=True)
    """For recordings of your own listed in a table: its columns, where they are not called path, emotion, speaker and
    language, e.g. path=file,emotion=label."""

    def __post_init__(self) -> None:
        super().__post_init__()
        compiled("speaker_pattern", self.speaker_pattern, r"(?P<speaker>spk\d+)_")
        compiled("emotion_pattern", self.emotion_pattern, r"_(?P<emotion>[a-z]+)_")
        for word, emotion in _pairs("map", self.map, "rabbia=angry"):
            if emotion_named(emotion) is None:
                check_choice(f"--map={word}", emotion, EMOTIONS)
        for column, _ in _pairs("columns", self.columns, "path=file"):
            check_choice("--columns", column, COLUMNS)

    def emotion(self, word: str) -> str | None:
        """Return the one of EMOTIONS that a word stands for, by --map or by itself; None if it is not known."""
        said = {plain(mapped): emotion for mapped, emotion in _pairs("map", self.map, "")}
        return emotion_named(said.get(plain(word), word))

    def column(self, name: str) -> str:
        """Return what the column of COLUMNS is called in the table."""
        return plain(dict(_pairs("columns", self.columns, "")).get(name, name))


def compiled(flag: str, pattern: str | None, example: str) -> re.Pattern[str] | None:
    """Return a flag's regular expression. Raises InputError: it is none, or empty."""
    try:
        if pattern == "":
            raise re.error("it is empty")
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"--{flag}: got {pattern!r}, which is no regular expression ({error}). "
            f"Expected e.g. {example!r}, searched for in each path below the folder."
        ) from error


def plain(word: str) -> str:
    """Return a word in the form in which words are compared: composed, in lower case, without spaces at its ends."""
    return unicodedata.normalize("NFC", word).strip().lower()


def _pairs(flag: str, items: tuple[str, ...], example: str) -> list[tuple[str, str]]:
    pairs = []
    for item in items:
        word, _, value = (part.strip() for part in item.partition("="))
        require(bool(word and value), flag, item, f"{example}, several separated by commas")
        pairs.append((word, value))
    if len({plain(word) for word, _ in pairs}) < len(pairs):
        raise InputError(f"--{flag}: got {','.join(items)!r}, which says one word twice. Keep one of each.")
    return pairs
