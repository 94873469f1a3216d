"""Licences of the recordings inside a model, and what they mean for sharing it, in sober words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from metaser_jax.recogniser.model import Model, is_start

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_RESEARCH = re.compile(r"\b(research|academic|scientific)\b", re.IGNORECASE)

GENERAL = (
    "The recordings that a model has learned from have licences of their own. Whether these also bind a model is not "
    "settled, and this is no legal advice. The careful reading is to share and to use the model only as the strictest "
    "of them allows, to name the corpora, and to leave this page with it."
)


class Inside(NamedTuple):
    """Recordings inside a model. Attributes: what, for people; language, licence, digest: None if not known."""

    what: str
    language: str | None
    licence: str | None
    digest: str | None


def inside(model: Model) -> list[Inside]:
    """Return the corpora that the start was trained on, and the clips."""
    about = model.about
    sources = (about.get("init") or {}).get("sources") or []
    found = [Inside(s.get("name") or "a corpus", s.get("language"), s.get("licence"), s.get("digest")) for s in sources]
    clips = about.get("support")
    if clips:
        found.append(Inside("the clips", clips.get("language") or about.get("language"), clips.get("licence"), None))
    return found


def note_of_start(model: Model) -> str | None:
    """Return the note of `non_commercial` on a start; of an adapted model its card says it."""
    return non_commercial(model.about) if is_start(model) else None


def non_commercial(about: Mapping[str, Any]) -> str | None:
    """Return a note that a model, or a start, is not for commercial use; None where no licence inside says so.

    Args: about: Model.about, or what of it is known.
    """
    sources = (about.get("init") or {}).get("sources") or []
    bound = {one["name"]: one["licence"] for one in sources if _NON_COMMERCIAL.search(one.get("licence") or "")}
    if not bound:
        return None
    return f"not for commercial use: it has learned from {_and(list(bound))} ({_and(sorted(set(bound.values())))})."


def meaning(recordings: Sequence[Inside]) -> list[str]:
    """Return a paragraph on what their licences mean for who shares the model."""
    paragraphs = [GENERAL]
    non_commercial = [r.what for r in recordings if r.licence and _NON_COMMERCIAL.search(r.licence)]
    research = [r.what for r in recordings if r.licence and _RESEARCH.search(r.licence)]
    unknown = [r.what for r in recordings if not r.licence]
    if non_commercial:
        paragraphs.append(
            f"Not for commercial use: that is what the licence of {_and(non_commercial)} says. Read carefully, it "
            "keeps this model out of products and paid services."
        )
    if research:
        paragraphs.append(
            f"For research or academic use: that is what {_and(research)} {'is' if len(research) == 1 else 'are'} "
            "given for. Whoever gets the model should be told."
        )
    if unknown or not recordings:
        whose = _and(unknown) if unknown else "the recordings that it was trained on"
        paragraphs.append(
            f"The licence of {whose} is not known here: ask those whose they are before you share the model."
        )
    return paragraphs


def of_clips(model: Model) -> list[str]:
    """Return a paragraph on the clips inside a model."""
    if is_start(model):
        return ["It was adapted to no clips: there is no recording inside, and nothing that was heard of one."]
    if model.support is None:
        return ["The clips that it was adapted with are not inside."]
    return [
        f"Inside are the features of {len(model.support)} clips (no sound), with the names of their files and "
        "speakers. Speech can be made audible from such features, roughly: share them only if the speakers agreed to "
        "that. metaser adapt --nokeep_clips makes a model without them."
    ]


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
