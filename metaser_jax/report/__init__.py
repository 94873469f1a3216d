"""Reports of result rows: tables, pictures, and a self-contained page."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaser_jax.report.page import write_report
    from metaser_jax.report.plots import plot_adaptation, plot_confusion, plot_training
    from metaser_jax.report.tables import table
    from metaser_jax.results.rows import read_metrics, read_results
    from metaser_jax.results.summary import Summary, summarise

__all__ = [
    "Summary",
    "plot_adaptation",
    "plot_confusion",
    "plot_training",
    "read_metrics",
    "read_results",
    "summarise",
    "table",
    "write_report",
]

# Imported on first use: `metaser info` prints a page, and needs no pictures and no statistics.
_MODULES = {
    "report.plots": ("plot_adaptation", "plot_confusion", "plot_training"),
    "report.page": ("write_report",),
    "report.tables": ("table",),
    "results.rows": ("read_metrics", "read_results"),
    "results.summary": ("Summary", "summarise"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"metaser_jax.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
