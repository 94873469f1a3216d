"""The TFDS builder that all corpora share: from a folder of recordings to MFCC, labels and speakers on disk.

A corpus's own class says what differs: language, file names, emotions. Layout on disk: data_dir/NAME/VERSION/, in
array_record files, which need no TensorFlow.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from metaser_jax.datasets import recordings
from metaser_jax.datasets.extraction import extract_all
from metaser_jax.datasets.recordings import Excluded, Left, Listing, Parsed, Unknown
from metaser_jax.features import MAX_FRAMES, N_MFCC, RecordingError
from metaser_jax.labels import EMOTIONS


class CorpusBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Reads manual_dir/NAME/ and writes one example per recording, all in the split "train".

    Features: mfcc [120, 20] float32; n_frames; label, an index into labels.EMOTIONS; emotion, the corpus's own name of
    it; speaker; file, the path below manual_dir/NAME; seconds; sample_rate, the file's in Hz. `info.metadata` has the
    lists `skipped`, `excluded` and `duplicates` of Statistics.

    A corpus defines the constants below. Where file names do not tell everything it overrides `parse`, or `find` if
    the labels are in other files.

    Attributes:
      LANGUAGE: English name of the language.
      LAYOUT: where a recording is, below manual_dir/NAME.
      STEM: regular expression of a file's whole stem, with the groups `speaker` and `code`.
      STEM_MEANS: the same for people.
      EMOTION_OF_CODE: code -> (the corpus's own name, one of labels.EMOTIONS).
      NOT_OURS: regular expressions of stems that belong to another part of the corpus -> what they are.
      PUBLISHED: number of recordings that the corpus's documentation states, if it does.
      MORE_THAN_PUBLISHED: what it means to find more.
    """

    LANGUAGE: ClassVar[str]
    HOMEPAGE: ClassVar[str | None] = None
    LICENSE: ClassVar[str]
    LAYOUT: ClassVar[str]
    STEM: ClassVar[str]
    STEM_MEANS: ClassVar[str]
    EMOTION_OF_CODE: ClassVar[dict[str, tuple[str, str]]]
    NOT_OURS: ClassVar[dict[str, str]] = {}
    PUBLISHED: ClassVar[int | None] = None
    MORE_THAN_PUBLISHED: ClassVar[str] = "Remove what does not belong to the corpus."

    def __init__(self, *, skip_bad: bool = False, workers: int = 0, file_format: Any = None, **kwargs: Any):
        """Args: skip_bad: leave out recordings that cannot be used; workers: as in extract_all; others: TFDS's."""
        super().__init__(file_format=file_format or "array_record", **kwargs)
        # TFDS makes a pickled builder anew from these arguments.
        self._original_state |= {"skip_bad": skip_bad, "workers": workers}
        self.skip_bad = skip_bad
        self.workers = workers

    @property
    def layout(self) -> str:
        """Where a recording is, below manual_dir."""
        return f"{self.name}/{self.LAYOUT}"

    def parse(self, path: Path) -> Parsed | Excluded | Unknown:
        """What the name of one audio file says."""
        for pattern, what in self.NOT_OURS.items():
            if re.fullmatch(pattern, path.stem):
                return Excluded(what)
        match = re.fullmatch(self.STEM, path.stem)
        if match is None:
            return Unknown(f"unknown name {path.stem!r}, expected {self.STEM_MEANS}")
        code = match["code"]
        if code not in self.EMOTION_OF_CODE:
            known = ", ".join(f"{code} {emotion}" for code, (emotion, _) in self.EMOTION_OF_CODE.items())
            return Unknown(f"unknown emotion {code!r}, expected one of: {known}")
        return Parsed(match["speaker"], *self.EMOTION_OF_CODE[code])

    def find(self, folder: Path) -> Iterator[tuple[Path, Parsed | Excluded | Unknown]]:
        """Every audio file of the corpus's folder, and what is known of it."""
        for path in recordings.audio_files(folder):
            if path.suffix.lower() in recordings.AUDIO_SUFFIXES:
                yield path, self.parse(path)
            else:
                yield path, Unknown(f"{path.suffix} is not read, expected .wav or .flac")

    def listing(self, manual_dir: Path) -> Listing:
        """All recordings below manual_dir/NAME, without opening them.

        Raises:
          InputError: the folder is missing or has no recording, a recording is there twice, there are more than were
            published, or (unless skip_bad) a file name cannot be understood.
        """
        folder = recordings.corpus_folder(manual_dir, self.name, self.layout)
        found = recordings.listing(folder, self.find(folder))
        n_files = len(found.recordings) + len(found.unknown)
        if found.unknown and not self.skip_bad:
            raise recordings.bad_recordings(self.name, found.unknown, n_files)
        if not found.recordings:
            raise recordings.no_recordings(folder, self.layout, found.excluded)
        if self.PUBLISHED is not None and len(found.recordings) > self.PUBLISHED:
            raise recordings.too_many(folder, len(found.recordings), self.PUBLISHED, self.MORE_THAN_PUBLISHED)
        return found

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "mfcc": tfds.features.Tensor(shape=(MAX_FRAMES, N_MFCC), dtype=np.float32),
            "n_frames": tfds.features.Scalar(dtype=np.int32),
            "label": tfds.features.ClassLabel(names=EMOTIONS),
            "emotion": tfds.features.Text(),
            "speaker": tfds.features.Text(),
            "file": tfds.features.Text(),
            "seconds": tfds.features.Scalar(dtype=np.float32),
            "sample_rate": tfds.features.Scalar(dtype=np.int32),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("mfcc", "label"),
            homepage=self.HOMEPAGE,
            license=self.LICENSE,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        tfds.disable_progress_bar()  # ours knows how many files there are
        return {"train": self._generate_examples(self.listing(Path(dl_manager.manual_dir)))}

    def _generate_examples(self, listing: Listing) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields (key, example). All bad recordings are found before the first is an error."""
        bad = list(listing.unknown)
        files_of_hash = defaultdict(list)
        paths = [recording.path for recording in listing.recordings]
        with (
            contextlib.closing(extract_all(paths, self.workers)) as results,
            tqdm(zip(listing.recordings, results, strict=True), self.name, len(paths), unit="file") as progress,
        ):
            for recording, result in progress:
                if isinstance(result, RecordingError):
                    bad.append(Left(recording.file, result.reason))
                    continue
                files_of_hash[result.sha256].append(recording.file)
                yield (
                    recording.key,
                    {
                        "mfcc": result.mfcc,
                        "n_frames": result.n_frames,
                        "label": recording.parsed.label,
                        "emotion": recording.parsed.emotion,
                        "speaker": recording.parsed.speaker,
                        "file": recording.file,
                        "seconds": result.seconds,
                        "sample_rate": result.sample_rate,
                    },
                )
        if bad and (not self.skip_bad or not files_of_hash):
            raise recordings.bad_recordings(self.name, bad, len(paths) + len(listing.unknown))
        self.info.metadata.update(
            skipped=sorted(bad),
            excluded=listing.excluded,
            duplicates=sorted(files for files in files_of_hash.values() if len(files) > 1),
        )

    # TFDS prints both to the standard output, where they would stand between the lines of a program's report.
    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass
