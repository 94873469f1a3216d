"""The sub-commands of `metaser`."""

import dataclasses

from metaser_jax.specs.base import Spec, option
from metaser_jax.specs.labelling import Labelling
from metaser_jax.specs.network import EmbeddingsFile

_MODEL = "a model folder (metaser adapt), or its zip archive"
_START = "open, research, a run (metaser meta-train or pretrain) or a model folder"
_CLIPS = (
    "a folder or a CSV of labelled clips: angry/clip1.wav, happy/clip2.wav ..., or labels.csv with the columns path, "
    "emotion, and if known speaker"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Vectors(EmbeddingsFile):
    """Vectors of an encoder of one's own, for a model that hears them."""

    embeddings_name: str | None = option(None)
    """With --embeddings: name of what made the vectors, where it is to be the model's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptConfig(Labelling, _Vectors):
    """metaser adapt."""

    init: str = option("open", common=True, there=_START, named=("scratch", "svm", "joint"))
    """What to start from: open (for any use) or research (better, not for commercial use), which come with the package,
    open-encoder or research-encoder (the same with a trained ear, after metaser fetch-encoder), a run directory
    (metaser meta-train or pretrain), or a model folder."""
    support: str = option(there=_CLIPS)
    """The labelled clips: a folder with a folder per emotion (angry/ happy/ neutral/ sad/), or a CSV with the columns
    path, emotion, and if known speaker."""
    out: str = option(short="o")
    """Folder to write the model to; new or empty."""
    language: str | None = option(None, common=True)
    """Name of the language, for the model card."""
    licence: str | None = option(None, common=True)
    """Licence of the clips, or whom to ask for them, for the model card."""
    unlabelled: str | None = option(None, common=True, there="a folder of recordings")
    """Folder of further recordings of the same voices and microphones, without labels: features are normalised by them
    and the clips together. Only for a model that normalises by corpus or speaker."""
    normalise: str = option("auto", choices=("auto", "corpus", "speaker"))
    """auto: as metaser finetune decides; corpus: all voices by the same statistics; speaker: each by its own, which
    metaser predict then needs (--speakers). Only for a start that was trained with auto, corpus or speaker."""
    optimizer: str = option("learner", choices=("learner", "inner", "adam"))
    """learner: as --init was meta-trained to adapt, if it was, else (and with --adapt=head) inner: gradient descent
    with the inner rates that --init has learned, or with --lr; or adam."""
    lr: float = option(0.05, above=0)
    """Learning rate, where --init has learned none."""
    max_epochs: int = option(40, least=1)
    """Passes over the clips."""
    batch_size: int = option(64, least=1)
    """Clips per step."""
    model_kind: str = option("network", choices=("network", "zero_shots", "svm"))
    """network: --init adapted to the clips; zero_shots: --init as it is, normalised by the clips; svm: a support vector
    machine of the clips alone. Whichever it is, the others are cross-validated, too."""
    adapt: str = option("all", choices=("all", "head"))
    """Layers to adapt: all, or the dense head."""
    folds: int = option(5, least=2)
    """Parts of the cross-validation, at most; fewer where an emotion has fewer clips."""
    repeats: int = option(4, least=1)
    """Times the cross-validation is repeated, with other parts."""
    seed: int = option(0)
    """Seed of the training and of the cross-validation's parts."""
    skip_bad: bool = option(False, common=True)
    """Leave out clips that cannot be used, and list them, instead of stopping."""
    keep_clips: bool | None = option(None, common=True)
    """Keep the clips' features (no sound) in the model, so that it can be adapted again with more; --nokeep_clips
    leaves them out. By default they are kept, but for a start that hears vectors, which identify people."""
    keep_voices: bool = option(False)
    """With --keep_clips, of a start that hears vectors: keep also which clips are of one person, as numbers."""
    keep_names: bool = option(False)
    """With --keep_voices: keep the names of people and files instead of numbers."""
    workers: int = option(0, least=0)
    """Processes that read clips; 0 takes one per core."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(not self.keep_voices or self.keep_clips is True, "keep_voices", "it beside --keep_clips")
        self.require(not self.keep_names or self.keep_voices, "keep_names", "it beside --keep_voices")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OfRecordings(_Vectors):
    """A model, and its way with recordings."""

    model: str = option(short="m", there=_MODEL)
    """Model folder (metaser adapt), or its zip archive; or open or research, which have learned from no clip of
    yours."""
    windows: str = option("all", choices=("all", "first"))
    """What of a recording longer than 2.79 s (8 s, for a model over the voice) counts: all, in windows, or the first
    window."""
    together: str = option("auto", choices=("auto", "on", "off"), common=True)
    """Let the recordings of a voice help each other, so that a label depends on those beside it: on; off: each by
    itself; auto: where the voices are told apart and have recordings enough, if the model can."""
    workers: int = option(0, least=0)
    """Processes that read recordings; 0 takes one per core."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig(_OfRecordings):
    """metaser predict."""

    format: str = option("table", choices=("table", "csv", "json"), common=True)
    """table, csv or json (a line per recording)."""
    track: bool = option(False, common=True)
    """A row per window, instead of per recording (table and csv; json has both)."""
    speakers: str = option("auto", choices=("auto", "none", "one", "folder"), common=True)
    """For a model that normalises by speaker: whose the recordings are. none: not known; one: all of one speaker;
    folder: each folder is one. auto: for a model over the voice the folders in a folder that is given, as metaser adapt
    reads them (an emotion's is none); for others none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Labelling, _OfRecordings):
    """metaser evaluate."""

    support: str = option(there=_CLIPS)
    """Labelled clips: a folder with a folder per emotion, or a CSV with the columns path, emotion, and if known
    speaker. Those that the model has learned from are not scored."""
    format: str = option("table", choices=("table", "json"), common=True)
    """table or json."""
    out: str | None = option(None, common=True, short="o")
    """File for a CSV with what was predicted of each clip."""
    skip_bad: bool = option(False, common=True)
    """Leave out clips that cannot be used, and list them, instead of stopping."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoConfig(Spec):
    """metaser info."""

    format: str = option("text", choices=("text", "json"), common=True)
    """text or json."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(Spec):
    """metaser export."""

    to: str = option(choices=("stablehlo", "npz", "start"))
    """stablehlo: a function of any number of utterances for jax.export and other programs; npz: the arrays; start: of a
    run of training (--init), a folder to adapt from and to predict with."""
    out: str = option(short="o")
    """File to write, or with --to=start a new folder."""
    model: str | None = option(None, common=True, short="m", there=_MODEL)
    """Model folder (metaser adapt), its zip archive, or the name of a start; not with --to=start."""
    platforms: tuple[str, ...] = option(("cpu", "cuda", "tpu"), common=True)
    """With --to=stablehlo: platforms that the function must run on."""
    init: str | None = option(None, common=True, there="a run of training")
    """With --to=start: the run, of metaser meta-train or pretrain."""
    data_dir: str | None = option(None, common=True, there="prepared corpora (metaser prepare)")
    """With --to=start: folder of the prepared corpora that the run has learned from; by default where they were."""
    calibrate: bool = option(True)
    """With --to=start: repeat the run without each of its sources (of one: without each fifth of its voices) to
    calibrate probabilities on what was left out; each takes as long as the run did."""
    about: str | None = option(None)
    """With --to=start: JSON file with what else its card is to say (about, in docs/model_folder.md)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        start = self.to == "start"
        expected = "none with --to=start, which takes a run (--init)" if start else f"a model with --to={self.to}"
        self.require((self.model is None) == start, "model", expected)
        self.require((self.init is not None) == start, "init", f"{'a run' if start else 'none'} with --to={self.to}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportTorchConfig(Spec):
    """metaser import-torch."""

    out: str = option(short="o")
    """Folder to write the model to; new or empty."""
    classes: tuple[str, ...] = option()
    """The emotions of the checkpoint's outputs, in their order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionConfig(Spec):
    """metaser completion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchEncoderConfig(Spec):
    """metaser fetch-encoder."""

    from_: str = option("", common=True, there="the wheel of resemblyzer 0.1.4, or pretrained.pt inside of it")
    """A file instead of a download: the wheel resemblyzer-0.1.4-py3-none-any.whl, or pretrained.pt inside of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeConfig(Spec):
    """metaser serve."""

    model: str = option(short="m", there=_MODEL)
    """Model folder (metaser adapt), or its zip archive; or open or research, to begin with."""
    host: str = option("127.0.0.1", common=True)
    """Address to listen at; 127.0.0.1 is this machine alone."""
    port: int = option(8000, common=True)
    """Port; 0 takes a free one."""
    max_upload_mb: int = option(32, least=1)
    """Largest recording that is taken, in MiB."""
    max_seconds: float = option(600.0, above=0)
    """Longest recording that is taken, in seconds."""
    time_limit: float = option(30.0, above=0)
    """Seconds that reading one recording may take."""
    max_clips: int = option(200, least=1)
    """Recordings that are remembered at once."""
