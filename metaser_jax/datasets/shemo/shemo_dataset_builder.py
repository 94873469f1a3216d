"""ShEMO (Mohamad Nezami, Jamshid Lou and Karami, 2019): Persian radio plays. See README.md beside this file."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from metaser_jax.datasets.base import CorpusBuilder, CorpusFile, Download, Published, own_names
from metaser_jax.datasets.files import named
from metaser_jax.emotions import emotion_named
from metaser_jax.errors import InputError

_RAW = "https://github.com/mansourehk/ShEMO/raw/master"
# The names of the corrected label list in https://github.com/aliyzd95/modified_shemo: emotions after the transcripts,
# where these and the file names disagree. shemo.json of ShEMO's own sites is not corrected.
_LABEL_FILES = ("modified_shemo.json", "mShEMO.json")
_LABELS_ARE = 'expected JSON like {"F21N05.wav": {"speech_name": "F21N05", "emotion": "neutral"}, ...}'


class Builder(CorpusBuilder):
    """3000 utterances of 87 speakers, six emotions."""

    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="file_names", description="Emotions as the file names say."),
        tfds.core.BuilderConfig(name="corrected", description="Emotions of mShEMO's label list."),
    ]
    HOMEPAGE = "https://github.com/mansourehk/ShEMO"
    LICENSE = "Free for academic use; see the site of the corpus."
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Get female.zip (374,368,830 bytes) and male.zip (496,606,401 bytes) from https://github.com/mansourehk/ShEMO (git
    LFS), and put both, or their folders female and male, into MANUAL_DIR/shemo/. For shemo/corrected put
    {_LABEL_FILES[0]} of https://github.com/aliyzd95/modified_shemo there, too.
    """

    LANGUAGE = "Persian"
    LAYOUT = "**/female/F01A01.wav"
    PUBLISHED = Published(3000, 87, {"angry": 1059, "happy": 201, "neutral": 1028, "sad": 449}, 4.10, (44_100, 22_050))
    DOWNLOADS = (Download(f"{_RAW}/female.zip"), Download(f"{_RAW}/male.zip"))  # sha256 in checksums.tsv
    ARCHIVES = ("female.zip", "male.zip")
    STEM = r"(?P<speaker>[FM]\d\d)(?P<code>[A-Z])\d\d"
    STEM_MEANS = "speaker (F or M, 2 digits), emotion (a letter), number (2 digits), e.g. F01A01"
    EMOTION_OF_CODE: ClassVar = own_names(A="anger", H="happiness", N="neutral", S="sadness", W="surprise", F="fear")

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
            raise InputError(f"{needs}\n{self.instructions}")
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
        label_of_stem = {stem: emotion_named(said) or "" for stem, said in emotion_of_stem.items()}
        unknown = sorted({emotion_of_stem[stem] for stem, label in label_of_stem.items() if label not in code_of_label})
        if unknown:
            known = ", ".join(code_of_label)
            raise InputError(f"{lists[0]} has unknown emotions {', '.join(map(repr, unknown))}, expected {known}.")
        return {stem: code_of_label[label] for stem, label in label_of_stem.items()}
