"""Studies: a matrix of cells, each trained and scored once; what the drivers of experiments/ do."""

import tomllib
from pathlib import Path
from typing import Any

# Prose of the reports.
TEXTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("texts.toml").read_text(encoding="utf-8"))
