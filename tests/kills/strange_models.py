"""Changes a model folder at random, again and again: it must load, or be refused with one message, in bounded time.

python tests/kills/strange_models.py --tries=5000 --seed=0 --out=DIR

Values of model.json become others that JSON, Python or NumPy may choke on; bytes of it, and of the arrays' headers and
numbers, are changed, cut and repeated, with sizes and checksums that fit, as somebody would who knows the format.
"""

import collections
import copy
import hashlib
import json
import random
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tiny_job
from fakes import fake_model

from metaser_jax import InputError
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.predictor import Predictor

_SECONDS = 20.0
VALUES = (
    *(None, True, 0, -1, 1, 2**63, 10**18, 10**400, 1e308, 1e-320, float("nan"), float("inf"), "", "mfcc", "\x1b[2J"),
    *("\ud800", "a" * 10**5, [], {}, [[]], ["angry", "angry"], {"": ""}, [None], ["\x00", "b"], [1e400], "1"),
)


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all values in JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, item in items for place in _places(item, (*path, key))]


def _change_json(text: str, rng: random.Random) -> bytes:
    facts = json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        *above, last = rng.choice(_places(facts))
        part = facts
        for key in above:
            part = part[key]
        if rng.random() < 0.2:
            del part[last]
        else:
            part[last] = copy.deepcopy(rng.choice(VALUES))
        if not facts:
            break
    return json.dumps(facts).encode()


def _change_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 10))):
        at, n = rng.randrange(len(changed)), rng.choice((1, 1, 4, 100))
        how = rng.randrange(4)
        if how == 0:
            changed[at : at + n] = rng.randbytes(n)
        elif how == 1:
            changed[at : at + n] = b""
        elif how == 2:
            changed[at:at] = rng.choice((b"(", b"-", b"[", b"{", b"\x00", b"9")) * rng.choice((1, n, 9000))
        else:
            changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed) or b"0"


def _change_numbers(path: Path, rng: random.Random) -> None:
    with np.load(path) as arrays:
        found = dict(arrays)
    name = rng.choice(sorted(found))
    if found[name].dtype.kind == "f":
        found[name][...] = rng.choice((0, 3e38, -3e38, 1e-45, 1e20, -1))
    elif found[name].dtype.kind == "i":
        found[name][...] = rng.choice((0, -1, 3, 120, 121, 2**31 - 1))
    else:
        found[name][...] = rng.choice(("", "\x1b[2J", "\ud800", "x"))
    np.savez(path, **{("file " + n if n == "file" else n): a for n, a in found.items()})


def main() -> None:
    options = tiny_job.options(__doc__, tries=5000)
    warnings.simplefilter("ignore")
    rng, counts = random.Random(options.seed), collections.Counter()
    models = []
    for features in ("mfcc", "voice"):
        folder = options.out / features
        save_model(folder, fake_model(features=features))
        models.append((folder, {path.name: path.read_bytes() for path in folder.iterdir()}))
    for number in range(options.tries):
        folder, whole = rng.choice(models)
        for name, content in whole.items():
            (folder / name).write_bytes(content)
        how = rng.choice(("values", "json", "arrays", "numbers"))
        facts = whole["model.json"].decode()
        if how == "values":
            (folder / "model.json").write_bytes(_change_json(facts, rng))
        elif how == "json":
            (folder / "model.json").write_bytes(_change_bytes(whole["model.json"], rng))
        else:
            path = folder / rng.choice(("arrays.npz", "support.npz"))
            if how == "arrays":
                path.write_bytes(_change_bytes(whole[path.name], rng))
            else:
                _change_numbers(path, rng)
            data, known = path.read_bytes(), json.loads(facts)
            known["files"][path.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            (folder / "model.json").write_text(json.dumps(known))
        start = time.monotonic()
        try:
            Predictor.load(folder)
            counts[f"{how}: loaded"] += 1
        except InputError as error:
            counts[f"{how}: refused"] += 1
            if any(ord(c) < 32 and c not in "\n\t" for c in str(error)):
                sys.exit(f"try {number}: a message with control characters: {error!r}")
        if time.monotonic() - start > _SECONDS:
            sys.exit(f"try {number} took {time.monotonic() - start:.0f} s")
    print(f"seed {options.seed}: {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    main()
