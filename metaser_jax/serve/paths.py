"""What the names of a clip's folders say of it, by the rules of metaser adapt (datasets/folder/listing.py)."""

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets.folder.listing import Rules
from metaser_jax.datasets.recordings import Parsed
from metaser_jax.specs.labelling import Labelling

_LONGEST = 120


class Told(NamedTuple):
    """Attributes: speaker, emotion, unknown: see sessions.Heard."""

    speaker: str
    emotion: int | None = None
    unknown: str = ""


def told_by(path: str, place: str, emotions: Sequence[str]) -> Told:
    """Return what the folders of a path say: one is an emotion, the others are the speaker.

    Args:
      path: with slashes; of folders that were dropped together, from these on.
      place: the only folder that was dropped, "" where there were several; not a speaker.
      emotions: of the model.
    """
    how = Labelling()
    place = "" if how.emotion(place) else shown(place)
    folders = [part for part in map(shown, path.replace("\\", "/").split("/")) if part]
    said = Rules(place, how).parse(PurePosixPath(*folders))
    if not isinstance(said, Parsed):
        return Told("")
    speaker = "" if said.speaker == UNKNOWN_SPEAKER else said.speaker
    if said.label not in emotions:
        return Told(speaker, None, said.label)
    return Told(speaker, emotions.index(said.label))


def shown(text: str) -> str:
    """Return a name as people see it: no control characters, not endless."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C").strip()[-_LONGEST:]


def last_part(path: str) -> str:
    """Return the last part of a path, as `shown`."""
    return shown(path.replace("\\", "/").rstrip("/").rpartition("/")[2])
