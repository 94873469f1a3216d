"""The sub-commands of `metaser`."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require
from metaser_jax.specs.labelling import Labelling

_MODEL = "a model folder (metaser adapt), or its zip archive"
_CLIPS = (
    "a folder or a CSV of labelled clips: angry/clip1.wav, happy/clip2.wav ..., or labels.csv with the columns path, "
    "emotion, and if known speaker"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptConfig(Labelling):
    """metaser adapt."""

    init: str = option("What to start from: a run directory (metaser meta-train or pretrain), or a model folder.")
    support: str = option(
        "The labelled clips: a folder with a folder per emotion (angry/ happy/ neutral/ sad/), or a CSV with the "
        "columns path, emotion, and if known speaker.",
        there=_CLIPS,
    )
    out: str = option("Folder to write the model to; new or empty.", short="o")
    language: str | None = option("Name of the language, for the model card.", None, common=True)
    licence: str | None = option(
        "Licence of the clips, or whom to ask for them, for the model card.", None, common=True
    )
    unlabelled: str | None = option(
        "Folder of further recordings of the same voices and microphones, without labels: features are normalised by "
        "them and the clips together. Only for a model that normalises by corpus or speaker.",
        None,
        common=True,
        there="a folder of recordings",
    )
    normalise: str = option(
        "auto: as metaser finetune decides; corpus: all voices by the same statistics; speaker: each by its "
        "own, which metaser predict then needs (--speakers). Only for a start that was trained with auto, corpus or "
        "speaker.",
        "auto",
        choices=("auto", "corpus", "speaker"),
    )
    optimizer: str = option(
        "learner: as --init was meta-trained to adapt, if it was, else (and with --adapt=head) inner: gradient descent "
        "with the inner rates that --init has learned, or with --lr; or adam.",
        "learner",
        choices=("learner", "inner", "adam"),
    )
    lr: float = option("Learning rate, where --init has learned none.", 0.05)
    max_epochs: int = option("Passes over the clips.", 40)
    batch_size: int = option("Clips per step.", 64)
    adapt: str = option("Layers to adapt: all, or the dense head.", "all", choices=("all", "head"))
    folds: int = option("Parts of the cross-validation, at most; fewer where an emotion has fewer clips.", 5)
    repeats: int = option("Times the cross-validation is repeated, with other parts.", 4)
    seed: int = option("Seed of the training and of the cross-validation's parts.", 0)
    skip_bad: bool = option(
        "Leave out clips that cannot be used, and list them, instead of stopping.", False, common=True
    )
    keep_clips: bool = option(
        "Keep the clips' features (no sound) in the model, so that it can be adapted again with more; "
        "--nokeep_clips leaves them out.",
        True,
        common=True,
    )
    workers: int = option("Processes that read clips; 0 takes one per core.", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("max_epochs", "batch_size", "repeats")
        require(self.folds >= 2, "folds", self.folds, "2 or more")
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        require(self.workers >= 0, "workers", self.workers, "0 (one per core) or a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OfRecordings(Spec):
    """What a model is to make of recordings."""

    model: str = option("Model folder (metaser adapt), or its zip archive.", short="m", there=_MODEL)
    windows: str = option(
        "What of a recording longer than 2.79 s (8 s, for a model over the voice) counts: all, in windows, or the "
        "first window.",
        "all",
        choices=("all", "first"),
    )
    workers: int = option("Processes that read recordings; 0 takes one per core.", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.workers >= 0, "workers", self.workers, "0 (one per core) or a positive number")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig(_OfRecordings):
    """metaser predict."""

    format: str = option(
        "table, csv or json (a line per recording).", "table", choices=("table", "csv", "json"), common=True
    )
    track: bool = option(
        "A row per window, instead of per recording (table and csv; json has both).", False, common=True
    )
    speakers: str = option(
        "For a model that normalises by speaker: whose the recordings are. none: not known; one: all of one speaker; "
        "folder: each folder is one.",
        "none",
        choices=("none", "one", "folder"),
        common=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Labelling, _OfRecordings):
    """metaser evaluate."""

    support: str = option(
        "Labelled clips: a folder with a folder per emotion, or a CSV with the columns path, emotion, and if known "
        "speaker. Those that the model has learned from are not scored.",
        there=_CLIPS,
    )
    format: str = option("table or json.", "table", choices=("table", "json"), common=True)
    out: str | None = option("File for a CSV with what was predicted of each clip.", None, common=True, short="o")
    skip_bad: bool = option(
        "Leave out clips that cannot be used, and list them, instead of stopping.", False, common=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoConfig(Spec):
    """metaser info."""

    format: str = option("text or json.", "text", choices=("text", "json"), common=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(Spec):
    """metaser export."""

    model: str = option("Model folder (metaser adapt), or its zip archive.", short="m", there=_MODEL)
    to: str = option(
        "stablehlo: a function of any number of utterances for jax.export and other programs; npz: the arrays.",
        choices=("stablehlo", "npz"),
    )
    out: str = option("File to write.", short="o")
    platforms: tuple[str, ...] = option(
        "With --to=stablehlo: platforms that the function must run on.", ("cpu", "cuda", "tpu"), common=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportTorchConfig(Spec):
    """metaser import-torch."""

    out: str = option("Folder to write the model to; new or empty.", short="o")
    classes: tuple[str, ...] = option("The emotions of the checkpoint's outputs, in their order.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionConfig(Spec):
    """metaser completion."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeConfig(Spec):
    """metaser serve."""

    model: str = option("Model folder (metaser adapt), or its zip archive.", short="m", there=_MODEL)
    host: str = option("Address to listen at; 127.0.0.1 is this machine alone.", "127.0.0.1", common=True)
    port: int = option("Port; 0 takes a free one.", 8000, common=True)
    max_upload_mb: int = option("Largest recording that is taken, in MiB.", 32)
    max_seconds: float = option("Longest recording that is taken, in seconds.", 600.0)
    time_limit: float = option("Seconds that reading one recording may take.", 30.0)
    max_clips: int = option("Recordings that are remembered at once.", 200)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_or_more("max_upload_mb", "max_clips")
        for flag in ("max_seconds", "time_limit"):
            require(getattr(self, flag) > 0, flag, getattr(self, flag), "a number above 0")
