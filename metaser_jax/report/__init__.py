"""From result rows to a table, pictures and a self-contained report."""

from metaser_jax.report.adaptation import plot_adaptation
from metaser_jax.report.confusion import plot_confusion
from metaser_jax.report.page import write_report
from metaser_jax.report.tables import table
from metaser_jax.report.training import plot_training
from metaser_jax.results.rows import read_metrics, read_results
from metaser_jax.results.summaries import Summary, summarise

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
