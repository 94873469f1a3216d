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

    init: str = option(
        "What to start from: open (for any use) or research (better, not for commercial use), which come with the "
        "package, a run directory (metaser meta-train or pretrain), or a model folder.",
        "open",
        common=True,
        there="open, research, a run (metaser meta-train or pretrain) or a model folder",
        named=("scratch", "svm", "joint"),
    )
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
    model_kind: str = option(
        "network: --init adapted to the clips; zero_shots: --init as it is, normalised by the clips; svm: a support "
        "vector machine of the clips alone. Whichever it is, the others are cross-validated, too.",
        "network",
        choices=("network", "zero_shots", "svm"),
    )
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

    model: str = option(
        "Model folder (metaser adapt), or its zip archive; or open or research, which have learned from no clip of "
        "yours.",
        short="m",
        there=_MODEL,
    )
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
        "folder: each folder is one. auto: for a model over the voice the folders in a folder that is given, as "
        "metaser adapt reads them (an emotion's is none); for others none.",
        "auto",
        choices=("auto", "none", "one", "folder"),
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

    to: str = option(
        "stablehlo: a function of any number of utterances for jax.export and other programs; npz: the arrays; start: "
        "of a run of training (--init), a folder to adapt from and to predict with.",
        choices=("stablehlo", "npz", "start"),
    )
    out: str = option("File to write, or with --to=start a new folder.", short="o")
    model: str | None = option(
        "Model folder (metaser adapt), its zip archive, or the name of a start; not with --to=start.",
        None,
        common=True,
        short="m",
        there=_MODEL,
    )
    platforms: tuple[str, ...] = option(
        "With --to=stablehlo: platforms that the function must run on.", ("cpu", "cuda", "tpu"), common=True
    )
    init: str | None = option(
        "With --to=start: the run, of metaser meta-train or pretrain.", None, common=True, there="a run of training"
    )
    data_dir: str | None = option(
        "With --to=start: folder of the prepared corpora that the run has learned from; by default where they were.",
        None,
        common=True,
        there="prepared corpora (metaser prepare)",
    )
    calibrate: bool = option(
        "With --to=start: repeat the run without each of its sources (of one: without each fifth of its voices) to "
        "calibrate probabilities on what was left out; each takes as long as the run did.",
        True,
    )
    about: str | None = option(
        "With --to=start: JSON file with what else its card is to say (about, in docs/model_folder.md).", None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        start = self.to == "start"
        expected = "none with --to=start, which takes a run (--init)" if start else f"a model with --to={self.to}"
        require((self.model is None) == start, "model", self.model, expected)
        require(
            (self.init is not None) == start, "init", self.init, f"{'a run' if start else 'none'} with --to={self.to}"
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

    model: str = option(
        "Model folder (metaser adapt), or its zip archive; or open or research, to begin with.",
        short="m",
        there=_MODEL,
    )
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
