"""Reports of result rows: tables, pictures, and a self-contained page."""

import importlib
from typing import Any

# Imported on first use: `metaser info` prints a page, and needs no pictures and no statistics. __init__.pyi says the
# same to editors and type checkers.
_NAMES = {
    "report.plots": ("plot_adaptation", "plot_confusion", "plot_training"),
    "report.page": ("write_report",),
    "report.tables": ("table",),
    "results.rows": ("read_metrics", "read_results"),
    "results.summary": ("Summary", "summarise"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"metaser_jax.{_MODULE_OF[name]}"), name)
