"""The label lists of ShEMO, of which mShEMO's follows the transcripts where these and the file names disagree."""

import json
from collections.abc import Sequence

from metaser_jax.datasets.files import CorpusFile, named
from metaser_jax.errors import InputError
from metaser_jax.labels import emotion_named

# Of https://github.com/aliyzd95/modified_shemo, under its two names; and of the corpus's second site.
LABEL_FILES = ("modified_shemo.json", "mShEMO.json", "shemo.json")
_CODE_OF_LABEL = {"angry": "A", "happy": "H", "neutral": "N", "sad": "S", "surprise": "W", "fear": "F"}
_EXPECTED = (
    'expected JSON like {"F21N05.wav": {"speech_name": "F21N05", "emotion": "neutral"}, ...} or '
    '[{"id": "F21N05", "emotion": "neutral"}, ...]'
)


def read(found: Sequence[CorpusFile], instructions: str) -> dict[str, str]:
    """The emotion's code of each recording, by the stem of its name.

    Args:
      found: all files of the corpus, of which one is a label list.
      instructions: for the message, where to get it.

    Raises:
      InputError: there is none, or several; or it cannot be understood.
    """
    lists = [one for name in LABEL_FILES for one in named(found, name)]
    if len(lists) != 1:
        have = ", ".join(map(str, lists)) or "none"
        raise InputError(f"shemo/corrected needs one of {', '.join(LABEL_FILES)}, found {have}.\n{instructions}")
    try:
        content = json.loads(lists[0].read_bytes())
        entries = content if isinstance(content, list) else content.values()
        # speech_name is the recording's name in the corpus as it was published.
        emotion_of_stem = {entry.get("speech_name") or entry["id"]: str(entry["emotion"]) for entry in entries}
    except KeyError as error:
        raise InputError(f"{lists[0]}: an entry has no {error}, {_EXPECTED}.") from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{lists[0]} cannot be understood ({error}), {_EXPECTED}.") from error
    code_of_stem = {stem: _CODE_OF_LABEL.get(emotion_named(said)) for stem, said in emotion_of_stem.items()}
    unknown = sorted({emotion_of_stem[stem] for stem, code in code_of_stem.items() if code is None})
    if unknown:
        raise InputError(
            f"{lists[0]} has unknown emotions {', '.join(map(repr, unknown))}, expected {', '.join(_CODE_OF_LABEL)}, "
            "or usual other names of them. Correct them."
        )
    return code_of_stem
