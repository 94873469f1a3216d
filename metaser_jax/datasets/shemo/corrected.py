"""The corrected label list of ShEMO: emotions after its transcripts, where these and the file names disagree."""

import json
from collections.abc import Sequence

from metaser_jax.datasets.files import CorpusFile, named
from metaser_jax.errors import InputError

LABEL_FILE = "modified_shemo.json"
_CODE_OF_EMOTION = {"anger": "A", "happiness": "H", "neutral": "N", "sadness": "S", "surprise": "W", "fear": "F"}


def read(found: Sequence[CorpusFile], instructions: str) -> dict[str, str]:
    """The emotion's code of each recording, by the stem of its name.

    Args:
      found: all files of the corpus, of which one is the label list:
        {"F21N05.wav": {"speech_name": "F21N05", "emotion": "neutral", ...}, ...}.
      instructions: for the message, where to get it.

    Raises:
      InputError: there is none, or several; or it cannot be understood.
    """
    lists = named(found, LABEL_FILE)
    if len(lists) != 1:
        have = ", ".join(map(str, lists)) or "none"
        raise InputError(f"shemo/corrected needs one {LABEL_FILE}, found {have}.\n{instructions}")
    try:
        entries = json.loads(lists[0].read_bytes())
        # speech_name is the recording's name in the corpus as it was published.
        return {entry["speech_name"]: _CODE_OF_EMOTION[entry["emotion"]] for entry in entries.values()}
    except KeyError as error:
        raise InputError(
            f"{lists[0]}: an entry has no or an unknown {error}, expected speech_name and emotion, one of: "
            f"{', '.join(_CODE_OF_EMOTION)}."
        ) from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"{lists[0]} cannot be understood ({error}), expected JSON like "
            '{"F21N05.wav": {"speech_name": "F21N05", "emotion": "neutral"}}.'
        ) from error
