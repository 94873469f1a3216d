"""The TFDS builder that all corpora share: from recordings to MFCC, labels and speakers on disk.

A corpus's own class says what differs: language, file names, emotions, where to get it. Layout on disk:
data_dir/NAME/VERSION/, or data_dir/NAME/CONFIG/VERSION/, in array_record files, which need no TensorFlow.
"""

import contextlib
import functools
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer

from metaser_jax.audio.encoder import find_encoder, require_encoder
from metaser_jax.audio.extraction import Extraction, extract_all
from metaser_jax.audio.mfcc import MAX_FRAMES, N_MFCC
from metaser_jax.audio.quality import Measured, notes_of_all
from metaser_jax.datasets import files, recordings
from metaser_jax.datasets.downloads import Download, fetch
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.datasets.recordings import Excluded, Left, Listing, Parsed, Said, Unknown
from metaser_jax.datasets.registry import OF_FOLDER, Options, config_of
from metaser_jax.datasets.statistics import Published
from metaser_jax.emotions import EMOTIONS, emotion_named
from metaser_jax.errors import InputError, RecordingError
from metaser_jax.messages import progress_bar
from metaser_jax.specs.voice import STATISTICS, TRACKS, VECTORS

# (files, worker processes) -> the features of each, or why it has none.
Extract = Callable[[Sequence[CorpusFile], int], Iterator[Extraction | RecordingError]]
# Suffixes of the recordings that are read.
_FORMATS = (".wav", ".flac")
_WITH_VECTORS = "2.1.0"
_OF_RECORDING = ("mfcc", "n_frames", "tracks", "voice", "seconds", "sample_rate")


def _own_names(name_of_code: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return code -> (the corpus's own name of the emotion, ours), where a word of the name says ours."""
    words = {name: (name, *re.findall(r"\w+", name)) for name in name_of_code.values()}
    return {code: (name, next(filter(None, map(emotion_named, words[name])))) for code, name in name_of_code.items()}


class CorpusBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Reads manual_dir/NAME/, or zip archives, or what it downloads, and writes one example per recording.

    Features, all in the split "train": mfcc [120, 20] float32; n_frames; tracks [frames, 19] and voice [171]
    float32, see audio/tracks.py; label, an index into emotions.EMOTIONS;
    emotion, the corpus's own name of it; vectors [3, 256] float32, what the speech encoder hears, or of no encoder
    [0, 256]; speaker; file, the path below the folder that all recordings share; seconds;
    sample_rate, the file's in Hz. `info.metadata` has the lists `skipped`, `excluded`, `duplicates`, `dropped` and
    `notes` of Statistics, the language and the options.

    A corpus says the constants below in corpus.toml beside its builder's module, in lower case, or in its class. Where
    file names do not tell everything it overrides `speaker`, or `labels` if the emotions are in other files.

    Attributes:
      LANGUAGE: English name of the language.
      LAYOUT: where a recording is, below manual_dir/NAME.
      STEM: regular expression (ASCII) of a file's whole stem, with the groups `speaker` and `code`.
      STEM_MEANS: the same for people.
      EMOTION_OF_CODE: code -> (the corpus's own name, one of emotions.EMOTIONS); corpus.toml has the first.
      NOT_OURS: regular expressions of stems that belong to another part of the corpus -> what they are.
      PUBLISHED: the counts that the corpus's documentation states, if it does.
      MORE_THAN_PUBLISHED: what it means to find more.
      DOWNLOADS: zip archives that hold the whole corpus; empty if its owners give it to people alone.
      ARCHIVES: glob patterns of the names of its archives, which may lie in manual_dir itself.
      LABELLED_BY_USER: whether language and speakers are the user's to say.
      WITHOUT_ANY: what to do where no name is understood.
      place: name of the corpus's folder below manual_dir.
      found: the recordings to prepare; None: those that `listing` finds in manual_dir, or the downloaded ones.
    """

    VERSION: ClassVar = tfds.core.Version("2.1.0")
    SUPPORTED_VERSIONS: ClassVar = [tfds.core.Version("2.0.0")]
    RELEASE_NOTES: ClassVar = {
        "2.1.0": "Beside the voice what a speech encoder hears [3, 256], where one was fetched.",
        "2.0.0": "Beside the MFCC the voice: frame tracks [frames, 19] of the whole clip, and their statistics [171].",
        "1.1.0": "The same, stored as bytes, with language and options.",
        "1.0.0": "MFCC [120, 20].",
    }
    LANGUAGE: ClassVar[str]
    HOMEPAGE: ClassVar[str | None] = None
    LICENSE: ClassVar[str]
    MANUAL_DOWNLOAD_INSTRUCTIONS: ClassVar[str]
    LAYOUT: ClassVar[str]
    STEM: ClassVar[str]
    STEM_MEANS: ClassVar[str]
    EMOTION_OF_CODE: ClassVar[dict[str, tuple[str, str]]]
    NOT_OURS: ClassVar[dict[str, str]] = {}
    PUBLISHED: ClassVar[Published | None] = None
    MORE_THAN_PUBLISHED: ClassVar[str] = "Remove what does not belong to the corpus."
    DOWNLOADS: ClassVar[tuple[Download, ...]] = ()
    ARCHIVES: ClassVar[Sequence[str]] = ()
    LABELLED_BY_USER: ClassVar[bool] = False
    WITHOUT_ANY: ClassVar[str] = (
        "Are these the corpus's own names? If not, prepare the recordings as folder/NAME: --emotion_pattern and "
        "--speaker_pattern find emotion and speaker in other names."
    )
    found: Listing | None = None

    def __init_subclass__(cls, **kwargs: Any):
        """Take the constants of corpus.toml, where there is one beside the class's module."""
        super().__init_subclass__(**kwargs)
        module = getattr(sys.modules.get(cls.__module__), "__file__", None)  # an interactive session has none
        path = Path(module).with_name("corpus.toml") if module else None
        facts = tomllib.loads(path.read_text("utf-8")) if path and path.exists() else {}
        for name, value in facts.items():
            if name == "published":
                value = Published(**value)
            elif name == "downloads":
                value = tuple(Download(**one) for one in value)
            elif name == "emotion_of_code":
                value = _own_names(value)
            elif name == "builder_configs":
                value = [tfds.core.BuilderConfig(name=config, description=text) for config, text in value.items()]
            setattr(cls, name.upper(), value)

    def __init__(
        self, *, options: Options | None = None, extract: Extract | None = None, file_format: Any = None, **kwargs: Any
    ):
        """Make the builder. Args: options: see Options; extract: instead of extract_all; others: TFDS's."""
        options = options or Options()
        for option in OF_FOLDER:
            if not self.LABELLED_BY_USER and getattr(options, option) != getattr(Options(), option):
                raise InputError(f"--{option} is for folder/NAME; {self.name} says it itself. Leave it out.")
        super().__init__(file_format=file_format or "array_record", **kwargs)
        # TFDS makes a pickled builder anew from these arguments.
        self._original_state |= {"options": options, "extract": extract}
        self.options = options
        self.encoder = None
        if options.encoder != "off":
            self.encoder = require_encoder("--encoder=on") if options.encoder == "on" else find_encoder()
        self._extract = extract or functools.partial(extract_all, encoder=self.encoder is not None)
        self.place = self.name
        # A configuration may have others.
        self.published, self.downloads, self.emotion_of_code = self.PUBLISHED, self.DOWNLOADS, self.EMOTION_OF_CODE

    @property
    def corpus_name(self) -> str:
        """The name in flags and messages: NAME, or NAME/CONFIG where the configuration is not the default."""
        config = self.builder_config and self.builder_config.name
        return self.name if config == config_of(self.name) else f"{self.name}/{config}"

    @property
    def layout(self) -> str:
        """Path at which a recording is expected, below manual_dir."""
        return f"{self.place}/{self.LAYOUT}"

    def parse(self, path: PurePath, code_of_stem: Mapping[str, str] | None = None) -> Said:
        """Return what is known of one audio file.

        Args:
          path: below the corpus's folder.
          code_of_stem: what `labels` returned.
        """
        for pattern, what in self.NOT_OURS.items():
            if re.fullmatch(pattern, recordings.without_copy_marks(path.stem), re.ASCII):
                return Excluded(what)
        match = recordings.documented(path.stem, self.STEM)
        speaker = self.speaker(match, path) if match else None
        if match is None or speaker is None:
            part = None if match else re.search(self.STEM, path.stem, re.ASCII | re.IGNORECASE)
            more = f"; it has {part[0]!r} in it, and more: rename it if that is what it is" if part else ""
            return Unknown(f"unknown name, expected {self.STEM_MEANS}{more}")
        stem = match[0]
        if code_of_stem is not None and stem not in code_of_stem:
            return Unknown(f"the corpus's label files have no label of it; they have {len(code_of_stem)} others")
        said = self.parsed(speaker, match["code"] if code_of_stem is None else code_of_stem[stem])
        return said._replace(stem=stem) if isinstance(said, Parsed) and stem != path.stem else said

    def speaker(self, match: re.Match[str], path: PurePath) -> str | None:
        """Return the speaker, from the match of STEM; None if it cannot be told."""
        return match["speaker"]

    def parsed(self, speaker: str, code: str) -> Said:
        """Return the recording of a speaker with an emotion's code."""
        if code not in self.emotion_of_code:
            known = ", ".join(f"{code} {emotion}" for code, (emotion, _) in self.emotion_of_code.items())
            return Unknown(f"unknown emotion {code!r}, expected one of: {known}")
        return Parsed(speaker, *self.emotion_of_code[code])

    def key(self, path: PurePath, parsed: Parsed) -> str:
        """Return what no two recordings of the corpus have in common."""
        return f"{parsed.speaker}/{parsed.stem or path.stem}"

    def labels(self, found: Sequence[CorpusFile]) -> Mapping[str, str] | None:
        """Return the emotion's code of each recording by its stem, where the corpus keeps it in other files."""
        return None

    def listing(self, manual_dir: Path) -> Listing:
        """Return all recordings below manual_dir; none is opened, but those that seem to be copies.

        Raises:
          InputError: the corpus is missing or has no recording, a recording is there twice, there are more than were
            published, or (unless skip_bad) a file name cannot be understood.
        """
        try:
            folder, archives = recordings.corpus_place(manual_dir, self.place, self.layout, self.ARCHIVES)
        except InputError as error:
            otherwise = "Without --manual_dir it is downloaded; by hand" if self.downloads else "To get it"
            raise InputError(f"{error}\n{otherwise}: {self.MANUAL_DOWNLOAD_INSTRUCTIONS}") from error
        found = files.files_below(folder, archives) if folder else files.files_in(archives)
        return self.listing_of(found, str(folder or ", ".join(map(str, archives))))

    def unchecked(self, found: Sequence[CorpusFile], place: str) -> Listing:
        """Return what is known of all files of a place, which messages name."""
        code_of_stem = self.labels(found)
        pairs = recordings.by_suffix(found, _FORMATS, lambda path: self.parse(path, code_of_stem))
        return recordings.listing(place, list(pairs), self.key)

    def listing_of(self, found: Sequence[CorpusFile], place: str) -> Listing:
        """Return the recordings among all files of a place, which messages name. Raises InputError as `listing`."""
        listing = self.unchecked(found, place)
        recordings.require(
            listing, self.corpus_name, place, self.layout, found, self.options.skip_bad, self.WITHOUT_ANY
        )
        n = len(listing.recordings)
        if self.published and n > self.published.utterances:
            raise InputError(
                f"{place} has {n} recordings, the corpus has {self.published.utterances}. {self.MORE_THAN_PUBLISHED}"
            )
        return listing

    def require_downloads(self) -> None:
        """Check that the corpus can be downloaded. Raises InputError: it cannot."""
        if not self.downloads:
            refusal = f"{self.corpus_name} cannot be downloaded by a program; give --manual_dir=MANUAL_DIR."
            raise InputError(f"{refusal}\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}")

    def _downloaded(self, dl_manager: tfds.download.DownloadManager) -> Listing:
        """Return all recordings of the archives that the corpus is published in.

        Raises InputError: there are none, or not all are there.
        """
        self.require_downloads()
        archives = fetch(self.corpus_name, dl_manager, self.downloads, self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        found = self.listing_of(files.files_in(archives), f"{self.corpus_name}: the download")
        if self.published and len(found.recordings) < self.published.utterances:
            raise InputError(
                f"{self.corpus_name}: the download has {len(found.recordings)} recordings, the corpus has "
                f"{self.published.utterances}. Remove {', '.join(map(str, archives))} and try again, or give "
                f"--manual_dir=MANUAL_DIR.\n{self.MANUAL_DOWNLOAD_INSTRUCTIONS}"
            )
        return found

    def _info(self) -> tfds.core.DatasetInfo:
        tensor = functools.partial(tfds.features.Tensor, dtype=np.float32, encoding="bytes")
        features = {
            "mfcc": tensor(shape=(MAX_FRAMES, N_MFCC)),
            "n_frames": tfds.features.Scalar(dtype=np.int32),
            "tracks": tensor(shape=(None, len(TRACKS))),
            "voice": tensor(shape=(len(STATISTICS),)),
            **({"vectors": tensor(shape=(None, VECTORS[1]))} if self.version >= _WITH_VECTORS else {}),
            "label": tfds.features.ClassLabel(names=EMOTIONS),
            **{name: tfds.features.Text() for name in ("emotion", "speaker", "file")},
            "seconds": tfds.features.Scalar(dtype=np.float32),
            "sample_rate": tfds.features.Scalar(dtype=np.int32),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("mfcc", "label"),
            homepage=self.HOMEPAGE,
            license=self.LICENSE,
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        try:
            manual_dir = Path(dl_manager.manual_dir)
        except AssertionError:  # TFDS: there is none
            manual_dir = None
        listing = self.found or (self.listing(manual_dir) if manual_dir else self._downloaded(dl_manager))
        return {"train": self._generate_examples(listing)}

    def _generate_examples(self, listing: Listing) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (key, example). All bad recordings are found before the first is an error."""
        bad, dropped, measured = list(listing.unknown), list(listing.copies), {}
        files_of_hash: dict[str, list[str]] = {}
        sources = [recording.source for recording in listing.recordings]
        with (
            contextlib.closing(self._extract(sources, self.options.workers)) as results,
            progress_bar(desc=self.corpus_name, total=len(sources), unit="file") as progress,
        ):
            for recording, result in zip(listing.recordings, results, strict=True):
                progress.update()
                if isinstance(result, RecordingError):
                    bad.append(Left(str(recording.source), result.listed))
                    continue
                alike = files_of_hash.setdefault(result.sha256, [])
                alike.append(recording.file)
                if self.options.drop_duplicates and len(alike) > 1:
                    dropped.append(Left(recording.file, f"byte-identical to {alike[0]}"))
                    continue
                if result.quality is not None:
                    measured[recording.file] = Measured.of(result)
                said = recording.parsed
                labels = {"label": said.label, "emotion": said.emotion, "speaker": said.speaker, "file": recording.file}
                arrays = {name: getattr(result, name) for name in _OF_RECORDING}
                if self.version >= _WITH_VECTORS:
                    none = np.zeros((0, VECTORS[1]), np.float32)
                    arrays["vectors"] = none if result.vectors is None else result.vectors
                yield recording.key, labels | arrays
        if bad and (not self.options.skip_bad or not files_of_hash):
            raise recordings.bad_recordings(self.corpus_name, bad, len(sources) + len(listing.unknown))
        self.info.metadata.update(
            language=listing.language or self.options.language or self.LANGUAGE,
            options=self.options.of_content(),
            encoder=self.encoder and self.encoder.digest,
            skipped=sorted(bad),
            excluded=listing.excluded,
            duplicates=sorted(alike for alike in files_of_hash.values() if len(alike) > 1),
            dropped=sorted(dropped),
            notes=notes_of_all(list(measured.values()), list(measured), "recording"),
        )

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[tfds.core.SplitInfo]:
        """Write examples as they come, in one shard; TFDS's own keeps all in memory. Raises OSError: it cannot."""
        ((split, examples),) = self._split_generators(dl_manager).items()
        serializer = ExampleSerializer(self.info.features.get_serialized_info())
        template = self._get_filename_template(split)
        sizes: list[int] = []
        writing = False

        def serialised() -> Iterator[tuple[int, bytes]]:
            nonlocal writing
            for _, example in examples:
                encoded = serializer.get_tf_example(self.info.features.encode_example(example))
                # A proto's map has an order of its own in every process, unless it is asked for one.
                record = encoded.SerializeToString(deterministic=True)
                writing = True
                yield len(sizes), record
                writing = False
                sizes.append(len(record))
            writing = True

        try:
            self._example_writer().write(template.sharded_filepath(shard_index=0, num_shards=1), serialised())
        except RuntimeError as error:
            if writing:  # array_record has no other error for a full disk
                raise OSError(str(error)) from error
            raise
        number, size = [len(sizes)], sum(sizes)
        return [tfds.core.SplitInfo(split, shard_lengths=number, num_bytes=size, filename_template=template)]

    # TFDS prints both to the standard output, where they would stand between the lines of a program's report.
    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass
