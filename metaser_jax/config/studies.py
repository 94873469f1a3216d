"""The studies: Table 2, Figure 2, and the ablation of the order of the meta-gradient."""

import dataclasses

from metaser_jax.specs.base import option
from metaser_jax.specs.studies import Figure2Spec, OrderSpec, StudySpec, Table2Spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(StudySpec):
    """Where a study is, and by which presets its methods are trained."""

    data_dir: str = option("Folder of prepared corpora (experiments/prepare.py).")
    out: str = option("Folder for the cells, the tables, the pictures and the report.")
    runs: str | None = option(
        "Folder of the pre-training runs, which studies may share; without it OUT/runs. A run that is there is not "
        "trained again.",
        None,
    )
    preset: str = option(
        "Settings of every method: paper or recommended (metaser_jax/config/presets.py).",
        "recommended",
        choices=("paper", "recommended"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table2Config(Table2Spec, StudyConfig):
    """experiments/table2.py."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure2Config(Figure2Spec, StudyConfig):
    """experiments/figure2.py."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrderConfig(OrderSpec, StudyConfig):
    """experiments/ablation_order.py."""
