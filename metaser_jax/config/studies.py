"""The studies: Table 2, Figure 2, the ablation of the order of the meta-gradient, and the benchmark."""

import dataclasses

from metaser_jax.config.presets import META_TRAIN
from metaser_jax.errors import check_choice
from metaser_jax.specs.base import option, require
from metaser_jax.specs.studies import Figure2Spec, OrderSpec, StudySpec, Table2Spec, UnseenSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(StudySpec):
    """Where a study is, and by which presets its methods are trained."""

    data_dir: str = option("Folder of prepared corpora (metaser prepare).", there="prepared corpora (metaser prepare)")
    out: str = option("Folder for the cells, the tables, the pictures and the report.", short="o")
    runs: str | None = option(
        "Folder of the pre-training runs, which studies may share; without it OUT/runs. A run that is there is not "
        "trained again.",
        None,
        common=True,
    )
    preset: str = option(
        f"Settings of every method: {', '.join(META_TRAIN)} (metaser_jax/config/presets.py).",
        "recommended",
        choices=tuple(META_TRAIN),
        common=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table2Config(Table2Spec, StudyConfig):
    """metaser table2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure2Config(Figure2Spec, StudyConfig):
    """metaser figure2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderConfig(OrderSpec, StudyConfig):
    """metaser ablation-order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenConfig(UnseenSpec, StudyConfig):
    """metaser unseen."""

    manual_dir: tuple[str, ...] = option(
        "For the method egemaps: folders, separated by commas, with the recordings that the corpora were prepared from "
        "(--manual_dir of metaser prepare).",
        (),
        common=True,
        there="a folder of recordings",
    )
    candidates: tuple[str, ...] = option(
        "Presets of the method metaser to choose from, separated by commas: each is run, and for each corpus the one "
        "that is best on the other corpora is scored besides.",
        (),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct = len(set(self.candidates)) == len(self.candidates) != 1
        require(distinct, "candidates", self.candidates, "none, or two or more, each once")
        for name in self.candidates:
            check_choice("--candidates", name, META_TRAIN)
        heard = bool(self.manual_dir) or "egemaps" not in self.methods
        expected = "the folders of the recordings, which --methods=egemaps hears; or leave the method out"
        require(heard, "manual_dir", self.manual_dir, expected)
