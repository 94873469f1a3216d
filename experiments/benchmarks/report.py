"""Results as results.json (every time) and results.md (a table per setting, ratios first)."""

import datetime
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import jax
import jaxlib
import torch
from problem import Setting
from race import Variant, ratio, ratio_by_round

TOLERANCE = 1e-4
_COLUMNS = (
    *("variant", "/ torch first", "/ torch second", "/ limit", "median s (quartiles)", "GFLOP/s", "temporary MiB"),
    *("compile s", "gradient's error", "notes"),
)
_LEGEND = """\
Ratios are of median times; below 1 is faster than what the column names. "limit": the matrix products of the same
order alone. Temporary memory: XLA's buffers on all devices; torch: growth of the process at its peak (GPU: of
allocated memory). Gradient's error: relative to ours of the same order, in norm.
"""


def machine() -> dict[str, str]:
    """What was measured on, and how."""
    jax_devices = jax.local_devices()
    facts = {
        "CPU": f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "jax devices": f"{len(jax_devices)} x {jax_devices[0].device_kind}",
        "torch on": torch.cuda.get_device_name() if torch.cuda.is_available() else _torch_threads(),
        "versions": f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, torch {torch.__version__}, "
        f"python {platform.python_version()}",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(["python", *sys.argv]),
    }
    return facts


def _torch_threads() -> str:
    return f"CPU, {torch.get_num_threads()} threads"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((ln.split(":", 1)[1].strip() for ln in lines if ln.startswith("model name")), platform.processor())


def _references(variants: list[Variant], name: str) -> dict[str, Variant | None]:
    by_name = {v.name: v for v in variants}
    return {n: by_name.get(n) for n in ("torch first", "torch second", f"limit {name.split()[-1]}")}


def markdown(facts: dict[str, str], results: list[tuple[Setting, list[Variant]]]) -> str:
    lines = ["# One meta-step's value and gradient", ""]
    lines += [f"- {what}: {fact}" for what, fact in facts.items()] + ["", _LEGEND]
    for setting, variants in results:
        lines += [f"## {setting}", "", _agreement(variants), ""]
        lines += ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
        lines += ["| " + " | ".join(_row(variant, variants)) + " |" for variant in variants] + [""]
    return "\n".join(lines)


def _agreement(variants: list[Variant]) -> str:
    errors = {v.name: v.error for v in variants if v.error is not None and not v.name.startswith("ours")}
    if not errors:
        return "Gradients: nothing to compare."
    wrong = [f"{name} ({error:.1e})" for name, error in errors.items() if not error <= TOLERANCE]
    if wrong:
        return f"**Gradients DISAGREE** with ours by more than {TOLERANCE:g}: {', '.join(wrong)}."
    return f"Gradients agree with ours to {TOLERANCE:g}: {', '.join(errors)} (at most {max(errors.values()):.1e})."


def _row(variant: Variant, variants: list[Variant]) -> list[str]:
    ratios = [_number(ratio(variant, reference)) for reference in _references(variants, variant.name).values()]
    seconds = speed = ""
    if variant.seconds:
        low, high = variant.quartiles
        seconds = f"{variant.median:.3g} ({low:.3g}-{high:.3g})"
        speed = f"{variant.gflop / variant.median:.0f} of {variant.gflop:.3g} GFLOP" if variant.gflop else ""
    measured = [_number(variant.memory_mib, ".0f"), _number(variant.compile_seconds, ".1f")]
    notes = ", ".join(filter(None, [variant.note, "1 round" if variant.one_round else ""]))
    return [variant.name, *ratios, seconds, speed, *measured, _number(variant.error, ".1e"), notes]


def _number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else f"{value:{form}}"


def write(folder: Path, facts: dict[str, str], results: list[tuple[Setting, list[Variant]]]) -> str:
    """Writes both files, and returns the markdown."""
    text = markdown(facts, results)
    settings = [{"setting": s._asdict(), "variants": [_json(v, vs) for v in vs]} for s, vs in results]
    (folder / "results.json").write_text(json.dumps({"machine": facts, "results": settings}, indent=1) + "\n")
    (folder / "results.md").write_text(text + "\n")
    return text


def _json(variant: Variant, variants: list[Variant]) -> dict[str, Any]:
    references = _references(variants, variant.name)
    return {
        "name": variant.name,
        "seconds": variant.seconds,
        "median_seconds": variant.median,
        "ratio_of_medians": {name: ratio(variant, r) for name, r in references.items()},
        "median_of_round_ratios": {name: ratio_by_round(variant, r) for name, r in references.items()},
        "gflop": variant.gflop,
        "temporary_mib": variant.memory_mib,
        "compile_seconds": variant.compile_seconds,
        "gradient_error": variant.error,
        "note": variant.note,
    }
