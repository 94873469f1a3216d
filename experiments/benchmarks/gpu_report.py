"""What gpu.py measured as tables, and the default that they speak for."""

import math
from typing import Any

import numpy as np
from cells import Cell, table
from gpu import OURS

# Relative errors against float64. By default a GPU multiplies float32 in TF32, whose 10 bits of mantissa are 5e-4.
TOLERANCE = {"default": 1e-2, "highest": 1e-4}
NAMES = {"scan": "scan", "buffers": "scan, command buffers", "kernel": "kernel", "torch": "PyTorch"}
NAMES |= {"limit": "products alone"}
Found = dict[Cell, dict[str, Any]]


def markdown(machine: dict[str, str], of: Found) -> str:
    lines = ["# On one GPU", "", *(f"- {name}: {what}" for name, what in machine.items()), ""]
    lines += ["## Against float64 on the CPU", "", *table(_CORRECTNESS, _correctness(of)), ""]
    lines += [
        "## A meta-step",
        "",
        "Median milliseconds (quartiles), temporary MiB. Ratios are of ours that is fastest.",
        "",
    ]
    lines += [*table(_STEPS, _steps(of)), ""]
    lines += ["## The training loop", "", *table(_LOOP, _loop(of)), ""]
    return "\n".join([*lines, default(machine, of), ""])


_CORRECTNESS = ["recurrence", "products", "hidden units", "states", "gradient", "Hessian-vector product", ""]


def _correctness(of: Found) -> list[list[str]]:
    rows = []
    for cell, found in of.items():
        if cell[0] == "correctness":
            errors = [found["failed"], "", ""] if "failed" in found else [f"{error:.1e}" for error in found.values()]
            rows.append([*map(str, cell[1:]), *errors, "agrees" if agrees(cell, found) else "**DISAGREES**"])
    return rows


def agrees(cell: Cell, found: dict[str, Any]) -> bool:
    return "failed" not in found and all(error <= TOLERANCE[cell[2]] for error in found.values())


_STEPS = ["order", "tasks", "shots", "inner steps", *NAMES.values(), "/ PyTorch", "/ products alone"]


def _steps(of: Found) -> list[list[str]]:
    settings = dict.fromkeys(cell[2:] for cell in of if cell[0] == "steps")
    rows = []
    for setting in settings:
        found = {name: of.get(("steps", name, *setting), {}) for name in NAMES}
        fastest = min((seconds(found[name]) for name in OURS), default=math.nan)
        ratios = [fastest / seconds(found[name]) for name in ("torch", "limit")]
        texts = [f"{r:.2f}" if math.isfinite(r) and r else "" for r in ratios]
        rows.append([*map(str, setting), *map(_time, found.values()), *texts])
    return rows


def seconds(found: dict[str, Any]) -> float:
    """The median; infinite where there is none."""
    return float(np.median(found["seconds"])) if found.get("seconds") else math.inf


def _time(found: dict[str, Any]) -> str:
    if not found.get("seconds"):
        return found.get("failed", "not measured")
    low, middle, high = np.percentile(found["seconds"], [25, 50, 75]) * 1e3
    memory = "" if found["memory_mib"] is None else f", {found['memory_mib']:.0f} MiB"
    error = found["gradient_error"]
    wrong = f", gradient off by {error:.1e}" if error is not None and error > TOLERANCE["default"] else ""
    return f"{middle:.3g} ({low:.3g}-{high:.3g}){memory}{wrong}"


_LOOP = ["order", "recurrence", "episodes per second, of three intervals", "/ the meta-step alone"]


def _loop(of: Found) -> list[list[str]]:
    # The loop is of the first setting that was measured.
    setting = next((cell[3:] for cell in of if cell[0] == "steps"), ())
    rows = []
    for (part, *rest), found in of.items():
        if part != "loop":
            continue
        name, order = rest
        rate = found.get("episodes_per_second")
        ratio = np.median(rate) * seconds(of.get(("steps", name, order, *setting), {})) if rate else math.inf
        text = ", ".join(f"{r:.3g}" for r in rate) if rate else found["failed"]
        rows.append([order, NAMES[name], text, f"{ratio:.2f}" if math.isfinite(ratio) else ""])
    return rows


def default(machine: dict[str, str], of: Found) -> str:
    """The recurrence that the times speak for: the least time, over all settings that it and the scan both did."""
    checks = [(cell, of[cell]) for cell in of if cell[0] == "correctness" and cell[1] == "kernel"]
    correct = bool(checks) and all(agrees(*check) for check in checks)
    shares: dict[str, tuple[float, int]] = {}
    for name in ("buffers", *(["kernel"] if correct else [])):
        both = [(seconds(of[c]), seconds(of.get((c[0], "scan", *c[2:]), {}))) for c in of if c[:2] == ("steps", name)]
        logs = [math.log(own / scan) for own, scan in both if math.isfinite(own) and math.isfinite(scan)]
        if logs:
            shares[name] = math.exp(float(np.mean(logs))), len(logs)
    if not shares or "(gpu)" not in machine["device"]:
        return "**They speak for no default**: nothing was measured on a GPU that could be compared."
    said = "; ".join(f"{NAMES[n]} {share:.2f} of the scan's time in {number}" for n, (share, number) in shares.items())
    kernel = "" if correct else " The kernel is left out: it was not shown to be right."
    best = min(shares, key=lambda name: shares[name][0])
    best = best if shares[best][0] < 1 else "scan"
    return f"**They speak for: {NAMES[best]}** (geometric means over settings and orders: {said}).{kernel}"
