"""The state of a page: its clips, what the person at it said of them, and the model as it is now.

Kept in memory, by a random token, until there are too many pages. Everything here is read and changed in the event
loop's thread alone; calculations beside it are given copies and give results back.
"""

import asyncio
import dataclasses
import itertools
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.adaptation.few_clips import corpus_of
from metaser_jax.audio.clips import Clip
from metaser_jax.audio.encoder import Encoder
from metaser_jax.data.corpus import UNKNOWN_SPEAKER, Corpus, join
from metaser_jax.datasets.labelled_files import Rules
from metaser_jax.datasets.recordings import Parsed
from metaser_jax.recogniser.model import Model
from metaser_jax.recogniser.predictor import Prediction, Predictor
from metaser_jax.serve.reading import Reading
from metaser_jax.serve.web import Refused
from metaser_jax.specs.labelling import Labelling

MAX_PAGES = 8
# Of a page, held in memory at once; its others wait. Of each page: nobody's slow uploads keep others waiting.
UPLOADS = 2
# Of all clips of a page together: features of so long a sound take some 25 MB, and its voice's tracks 50 MB.
MAX_HOURS = 2.0
# Characters of a name.
_LONGEST = 120


Beside = tuple[tuple[str, str], ...]
"""Clips on which a prediction depends, number and speaker."""


class Seen(NamedTuple):
    """Predictions of a clip.

    Attributes:
      of: what that depends on besides the clip, see Page.beside.
      prediction: of the model as it is now.
      loaded: of the model as loaded; None where that is the same model.
      learned: whether the model as it is now has learned from this recording.
    """

    of: tuple[Predictor, Beside]
    prediction: Prediction
    loaded: Prediction | None
    learned: bool


@dataclasses.dataclass(kw_only=True)
class Heard:
    """A clip.

    Attributes:
      id: unique in its page. name: as the person's file is called. speaker: "" where it is not known.
      clip, peaks: see reading.py.
      seen: None until it was predicted.
      emotion: what the person says it is, an index; None if nothing was said.
      unknown: an emotion that its folder says and the model does not know; "" otherwise.
    """

    id: str
    name: str
    speaker: str
    clip: Clip
    peaks: np.ndarray
    seen: Seen | None = None
    emotion: int | None = None
    unknown: str = ""


@dataclasses.dataclass
class Adaptation:
    """State of the last adaptation of a page.

    Attributes:
      state: "none", "running", "done", "stopped" or "failed". said: for people.
      started: by time.monotonic.
      done, of: trainings.
      stop: whether it is to end.
    """

    state: str = "none"
    said: str = ""
    started: float = dataclasses.field(default_factory=time.monotonic)
    done: int = 0
    of: int = 0
    stop: bool = False


class Page:
    """A page in one browser.

    Attributes: predictor, of the model as it is now; heard; adaptation; n_learned: clips of this page that the model
    was adapted with; unsaved: whether that model was not downloaded yet; uploads: places for what is being sent;
    together: whether the clips of a voice may help each other; voices: how each came out, for people.
    """

    def __init__(self, predictor: Predictor, max_clips: int):
        self.loaded = predictor
        self.predictor = predictor
        self.heard: dict[str, Heard] = {}
        self.adaptation = Adaptation()
        self.n_learned = 0
        self.unsaved = False
        self.together = True
        self.voices: list[str] = []
        self.uploads = asyncio.Semaphore(UPLOADS)
        self._max_clips = max_clips
        self._numbers = itertools.count(1)

    def check_room(self, seconds: float = 0.0) -> None:
        """Raise Refused, 409, unless one more clip of so many seconds can be remembered."""
        if len(self.heard) >= self._max_clips:
            said = f"This page holds {self._max_clips} clips already. Remove some (--max_clips allows more)."
            raise Refused(409, said)
        if sum(heard.clip.seconds for heard in self.heard.values()) + seconds > MAX_HOURS * 3600:
            raise Refused(409, f"This page's clips would be more than {MAX_HOURS:g} hours together. Remove some.")

    def add(self, name: str, told: Mapping[str, Any], reading: Reading) -> Heard:
        """Raise Refused, see check_room."""
        self.check_room(reading.clip.seconds)
        heard = Heard(id=str(next(self._numbers)), name=name, **told, **reading._asdict())
        self.heard[heard.id] = heard
        return heard

    def find(self, number: str) -> Heard:
        """Raise Refused, 404."""
        if number not in self.heard:
            raise Refused(404, "This clip is not here any more.")
        return self.heard[number]

    def labelled(self) -> list[Heard]:
        """Return the clips whose emotion was said; of the same recording, the last one's."""
        return list({heard.clip.sha256: heard for heard in self.heard.values() if heard.emotion is not None}.values())

    def beside(self, heard: Heard) -> Beside:
        """Return the clips on which it depends what is heard in a clip, itself among them.

        Those of its voice, or, where they are labelled together, of all voices that are known; none where its own is
        not known or makes no difference.
        """
        if not (heard.speaker and tells_voices_apart(self.loaded.model)):
            return ()
        together = self.together and self.loaded.model.shape is not None
        told = ((other.id, other.speaker) for other in self.heard.values() if other.speaker)
        of = tuple(one for one in told if together or one[1] == heard.speaker)
        return (("", "together"), *of) if together else of

    def not_seen(self, predictor: Predictor, seen: Mapping[str, Seen]) -> list[Heard]:
        """Return the clips of which it is not known, or not any more, what a model hears; of voices all clips.

        `seen`: what is known besides what the clips remember.
        """

        def is_known(heard: Heard) -> bool:
            known = seen.get(heard.id, heard.seen)
            return known is not None and known.of == (predictor, self.beside(heard))

        return [heard for heard in self.heard.values() if not is_known(heard)]

    def see(self, predictor: Predictor, seen: Mapping[str, Seen]) -> None:
        """Take a model, and what it hears."""
        self.predictor = predictor
        for number, one in seen.items():
            if number in self.heard:
                self.heard[number].seen = one


def tells_voices_apart(model: Model) -> bool:
    """Return whether it matters whose a clip is, and which others there are of that voice."""
    return model.settings.normalise == "speaker"


class Pages:
    """The pages by their tokens.

    When there are too many, one goes that has nothing to lose, or else the one that was not used for longest.
    """

    def __init__(self, new: Callable[[], Page]):
        self._new = new
        self._pages: dict[str, Page] = {}
        # Begins the tokens of this start.
        self._start = secrets.token_urlsafe(6)

    def open(self) -> str:
        """Return the token of a new page."""
        token = self._start + secrets.token_urlsafe(24)
        self._pages[token] = self._new()
        # Anybody may open pages, without a token: those drop each other.
        others = [item for item in list(self._pages.items())[:-1] if item[1].adaptation.state != "running"]
        others.sort(key=lambda item: bool(item[1].heard or item[1].unsaved))
        for other, _ in others[: max(len(self._pages) - MAX_PAGES, 0)]:
            del self._pages[other]
        return token

    def __contains__(self, token: str) -> bool:
        return token in self._pages

    def find(self, token: str) -> Page:
        """Raise Refused, 410: it was dropped, or the server was started anew."""
        if token not in self._pages:
            dropped = token.startswith(self._start)
            why = f"{MAX_PAGES} other pages were opened after this one" if dropped else "metaser serve was started anew"
            raise Refused(410, f"The server has forgotten this page's clips: {why}. Load the page again.")
        # The last one used is the last.
        self._pages[token] = self._pages.pop(token)
        return self._pages[token]


def support_with(
    support: Corpus | None, labelled: list[Heard], emotions: tuple[str, ...], encoder: Encoder | None = None
) -> Corpus:
    """Return the clips that a model has learned from, and the page's labelled ones.

    The person at the page has the last word on a recording that is in both.
    """
    taken = [] if support is None else support.file.tolist()
    before = len(taken)
    for heard in labelled:
        names = (f"page/{heard.name}{f' ({n})' if n > 1 else ''}" for n in itertools.count(1))
        taken.append(next(name for name in names if name not in taken))
    speakers = [heard.speaker or UNKNOWN_SPEAKER for heard in labelled]
    labels = [heard.emotion for heard in labelled if heard.emotion is not None]
    new = corpus_of([heard.clip for heard in labelled], labels, speakers, taken[before:], emotions, encoder)
    if support is None:
        return new
    said_anew = np.isin(np.asarray(support.sha256), [heard.clip.sha256 for heard in labelled])
    return join([support.take(~said_anew), new])


def parse_folders(path: str, place: str, emotions: Sequence[str]) -> dict[str, Any]:
    """Return speaker, emotion and unknown, see Heard, as the folders of a path say them.

    The rules are those of metaser adapt: one folder is an emotion, the others are the speaker.

    Args:
      path: with slashes; of folders that were dropped together, from these on.
      place: the only folder that was dropped, "" where there were several; not a speaker.
      emotions: of the model.
    """
    how = Labelling()
    place = "" if how.emotion(place) else printable(place)
    folders = [part for part in map(printable, path.replace("\\", "/").split("/")) if part]
    said = Rules(place, how).parse(PurePosixPath(*folders))
    if not isinstance(said, Parsed):
        return {"speaker": "", "emotion": None, "unknown": ""}
    speaker = "" if said.speaker == UNKNOWN_SPEAKER else said.speaker
    emotion, unknown = (emotions.index(said.label), "") if said.label in emotions else (None, said.label)
    return {"speaker": speaker, "emotion": emotion, "unknown": unknown}


def printable(text: str) -> str:
    """Return a name as people see it: no control characters, not endless."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C").strip()[-_LONGEST:]


def base_name(path: str) -> str:
    """Return the last part of a path, as `shown`."""
    return printable(path.replace("\\", "/").rstrip("/").rpartition("/")[2])
