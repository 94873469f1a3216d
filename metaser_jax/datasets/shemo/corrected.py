"""The corrected label list of ShEMO: emotions after its transcripts, where these and the file names disagree."""

import json
from collections.abc import Sequence

from metaser_jax.datasets.files import CorpusFile, named
from metaser_jax.emotions import emotion_named
from metaser_jax.errors import InputError

# Its two names in https://github.com/aliyzd95/modified_shemo. shemo.json of ShEMO's own sites is not corrected.
LABEL_FILES = ("modified_shemo.json", "mShEMO.json")
_CODE_OF_LABEL = {"angry": "A", "happy": "H", "neutral": "N", "sad": "S", "surprise": "W", "fear": "F"}
_EXPECTED = 'expected JSON like {"F21N05.wav": {"speech_name": "F21N05", "emotion": "neutral"}, ...}'


def read(found: Sequence[CorpusFile], instructions: str) -> dict[str, str]:
    """Return the emotion's code of each recording, by the stem of its name.

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
    emotion_of_stem: dict[str, str] = {}
    try:
        for entry in json.loads(lists[0].read_bytes()).values():
            # The recording's name in the corpus as it was published.
            stem, emotion = entry["speech_name"], str(entry["emotion"])
            if emotion_of_stem.setdefault(stem, emotion) != emotion:
                raise InputError(f"{lists[0]}: {stem} is {emotion_of_stem[stem]} and {emotion}. Keep one of them.")
    except KeyError as error:
        raise InputError(f"{lists[0]}: an entry has no {error}, {_EXPECTED}.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, AttributeError, TypeError) as error:
        raise InputError(f"{lists[0]} cannot be understood ({error}), {_EXPECTED}.") from error
    code_of_stem = {stem: _CODE_OF_LABEL.get(emotion_named(said)) for stem, said in emotion_of_stem.items()}
    unknown = sorted({emotion_of_stem[stem] for stem, code in code_of_stem.items() if code is None})
    if unknown:
        raise InputError(
            f"{lists[0]} has unknown emotions {', '.join(map(repr, unknown))}, expected {', '.join(_CODE_OF_LABEL)}, "
            "or usual other names of them. Correct them."
        )
    return code_of_stem
