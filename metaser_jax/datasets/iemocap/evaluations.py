"""The label files of IEMOCAP, SessionN/dialog/EmoEvaluation/DIALOG.txt: the emotion of every turn of a dialog."""

import re
from collections.abc import Sequence

from metaser_jax.datasets.files import CorpusFile
from metaser_jax.errors import InputError

NO_AGREEMENT = "xxx"
_FILE = re.compile(r"Ses\d\d[FM]_\w+\.txt", re.ASCII)
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
_TURN = re.compile(r"^\[[\d.]+ - [\d.]+\]\t(?P<turn>\w+)\t(?P<code>\w+)\t\[", re.MULTILINE | re.ASCII)


def read(found: Sequence[CorpusFile]) -> dict[str, str]:
    """Return the emotion's code of each turn.

    Args:
      found: all files of the corpus.

    Raises:
      InputError: there is no label file, one has no labels or cannot be read, or two contradict each other.
    """
    # The folders below EmoEvaluation hold what single listeners said.
    files = [
        one
        for one in found
        if one.relative.parent.name.lower() == "emoevaluation" and _FILE.fullmatch(one.relative.name)
    ]
    if not files:
        raise InputError(
            "iemocap: no label file found, expected SessionN/dialog/EmoEvaluation/*.txt beside SessionN/sentences/wav. "
            "Unpack the whole release."
        )
    code_of_turn: dict[str, str] = {}
    for one in files:
        try:
            text = one.read_bytes().decode("utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"iemocap: {one} cannot be read ({error.strerror}).") from error
        turns = [match.group("turn", "code") for match in _TURN.finditer(text.replace("\r", ""))]
        if not turns:
            raise InputError(
                f"iemocap: {one} has no labels, expected lines such as "
                "'[6.2901 - 8.2357]\\tSes01F_impro01_F000\\tneu\\t[2.5, 2.5, 2.5]'. Fetch it again."
            )
        for turn, code in turns:
            if code_of_turn.setdefault(turn, code) != code:
                raise InputError(
                    f"iemocap: {one} says {code} of {turn}, another label file {code_of_turn[turn]}. Keep one of them."
                )
    return code_of_turn
