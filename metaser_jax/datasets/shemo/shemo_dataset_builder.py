"""ShEMO (Mohamad Nezami, Jamshid Lou and Karami, 2019): Persian radio plays. See README.md and corpus.toml."""

import json
from collections.abc import Sequence
from typing import Any

from metaser_jax.datasets.base import CorpusBuilder, CorpusFile
from metaser_jax.datasets.files import named
from metaser_jax.emotions import emotion_named
from metaser_jax.errors import InputError

# The names of the corrected label list in https://github.com/aliyzd95/modified_shemo: emotions after the transcripts,
# where these and the file names disagree. shemo.json of ShEMO's own sites is not corrected.
_LABEL_FILES = ("modified_shemo.json", "mShEMO.json")
_LABELS_ARE = 'expected JSON like {"F21N05.wav": {"speech_name": "F21N05", "emotion": "neutral"}, ...}'


class Builder(CorpusBuilder):
    """3000 utterances of 87 speakers, six emotions."""

    def __init__(self, **kwargs: Any):
        """Make the builder. Args: CorpusBuilder's."""
        super().__init__(**kwargs)
        if self.builder_config.name == "corrected":
            self.downloads = ()  # the label list is not in the archives

    def labels(self, found: Sequence[CorpusFile]) -> dict[str, str] | None:
        """Return the code of each recording by its stem, for the configuration with corrected labels.

        Raises:
          InputError: there is no label list, or several; or it cannot be understood.
        """
        if self.builder_config.name == "file_names":
            return None
        lists = [one for name in _LABEL_FILES for one in named(found, name)]
        if len(lists) != 1:
            have = ", ".join(map(str, lists)) or "none"
            needs = f"shemo/corrected needs one of {', '.join(_LABEL_FILES)}, found {have}."
            raise InputError(f"{needs}\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        try:  # speech_name: the recording's name in the corpus as it was published
            entries = json.loads(lists[0].read_text()).values()
            said = [(entry["speech_name"], str(entry["emotion"])) for entry in entries]
        except (json.JSONDecodeError, RecursionError, AttributeError, TypeError, KeyError) as error:
            raise InputError(f"{lists[0]} cannot be understood ({error}), {_LABELS_ARE}.") from error
        emotion_of_stem: dict[str, str] = {}
        for stem, emotion in said:
            if (other := emotion_of_stem.setdefault(stem, emotion)) != emotion:
                raise InputError(f"{lists[0]}: {stem} is {other} and {emotion}. Keep one of them.")
        code_of_label = {label: code for code, (_, label) in self.EMOTION_OF_CODE.items()}
        code_of_stem = {stem: code_of_label.get(emotion_named(said) or "") for stem, said in emotion_of_stem.items()}
        unknown = sorted({emotion_of_stem[stem] for stem, code in code_of_stem.items() if code is None})
        if unknown:
            known = ", ".join(code_of_label)
            raise InputError(f"{lists[0]} has unknown emotions {', '.join(map(repr, unknown))}, expected {known}.")
        return {stem: code for stem, code in code_of_stem.items() if code}
