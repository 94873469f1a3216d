"""The sub-commands of `metaser`, and what is known of each before its module is imported."""

from typing import NamedTuple


class Arguments(NamedTuple):
    """What a sub-command takes besides flags. Attributes: name, for people; least, most: how many; None: any number."""

    name: str
    least: int = 0
    most: int | None = 0


class Command(NamedTuple):
    """A sub-command.

    Attributes:
      what: it does, for people.
      config: its flags, MODULE.CLASS below metaser_jax.specs.
      takes: what may follow that is no flag.
      presets: the name of its presets in metaser_jax.specs.presets; "" for none.
      needs: what it imports that extras bring (metaser_jax/extras.py).
    """

    what: str
    config: str
    takes: Arguments = Arguments("nothing but flags")
    presets: str = ""
    needs: tuple[str, ...] = ()


_READS = ("array_record", "importlib_resources")
_RUNS = (*_READS, "orbax.checkpoint")
TRAINS = (*_RUNS, "tensorboardX")
_STUDIES = (*TRAINS, "matplotlib")
_RECORDINGS = Arguments("recordings: files and folders, or - for one from stdin", 0, None)
_MODEL = Arguments("one model folder, or its zip archive", 1, 1)
_CHECKPOINT = Arguments("one checkpoint of PyTorch, FILE.pt", 1, 1)
_SHELL = Arguments("one shell: bash, zsh or fish", 1, 1)

# Title in `metaser --help` -> the module that has, for each of its commands, a function (config, arguments) -> exit
# status of the same name, with _ for -.
MODULES = {"Use a model": "models", "Train": "training", "Study": "training", "Set up": "completion"}
GROUPS = {
    "Use a model": {
        "adapt": Command("learn a language from a few labelled clips of each emotion", "commands.AdaptConfig"),
        "predict": Command("the emotion of recordings, with probabilities", "commands.PredictConfig", _RECORDINGS),
        "evaluate": Command("score a model on labelled clips", "commands.EvaluateConfig"),
        "info": Command("what a model was made of, its scores, licences and limits", "commands.InfoConfig", _MODEL),
        "export": Command("a model as StableHLO or NumPy arrays, for other programs", "commands.ExportConfig"),
        "import-torch": Command(
            "a model from the authors' PyTorch checkpoint", "commands.ImportTorchConfig", _CHECKPOINT
        ),
        "serve": Command(
            "a page in the browser: record, look, correct, adapt again",
            "commands.ServeConfig",
            needs=("starlette", "uvicorn"),
        ),
    },
    "Train": {
        "prepare": Command("extract the features of corpora, once", "programs.PrepareConfig", needs=_READS),
        "corpora": Command("a table of the corpora that are prepared", "programs.CorporaConfig", needs=_READS),
        "meta-train": Command(
            "learn from source corpora how to learn", "programs.MetaTrainConfig", presets="META_TRAIN", needs=TRAINS
        ),
        "pretrain": Command(
            "train a baseline on source corpora", "programs.PretrainConfig", presets="PRETRAIN", needs=TRAINS
        ),
        "finetune": Command(
            "adapt a run to a target corpus, and score it there",
            "programs.FinetuneConfig",
            presets="FINETUNE",
            needs=_RUNS,
        ),
        "sweep": Command(
            "meta-train over seeds and settings in one program", "sweep.SweepConfig", presets="SWEEP", needs=_STUDIES
        ),
    },
    "Study": {
        "demo": Command(
            "all of it in minutes, on synthetic voices", "programs.DemoConfig", needs=(*_STUDIES, "espeakng_loader")
        ),
        "unseen": Command("each corpus in turn as the unseen language", "studies.UnseenConfig", needs=_STUDIES),
        "table2": Command(
            "the paper's Table 2: methods by sources and targets", "studies.Table2Config", needs=_STUDIES
        ),
        "figure2": Command("the paper's Figure 2: score by amount of data", "studies.Figure2Config", needs=_STUDIES),
        "ablation-order": Command("second order against other meta-gradients", "studies.OrderConfig", needs=_STUDIES),
    },
    "Set up": {
        "completion": Command("what makes a shell complete all of this", "commands.CompletionConfig", _SHELL),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}
