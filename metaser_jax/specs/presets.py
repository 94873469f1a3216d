"""Named settings of the programs: other defaults for a configuration's fields, from presets.toml."""

import tomllib
from pathlib import Path
from typing import Any

Fields = dict[str, Any]


def _read() -> dict[str, dict[str, Fields]]:
    """Return the presets of presets.toml, each with what it does not say itself of the one that it is `like`."""
    found: dict[str, dict[str, Any]] = {}
    for name, own in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items():
        like = found.get(own.pop("like", ""), {})
        found[name] = like | {of: like.get(of, {}) | fields for of, fields in own.items()}
    return found


# Preset -> specification -> its fields.
PRESETS = _read()


def _of(specification: str, suffix: str = "") -> dict[str, Fields]:
    """Return the fields of a specification, with those of its network, by the names of presets."""
    found = {}
    for name, preset in PRESETS.items():
        if specification in preset:
            fields = preset["network"] | preset[specification]
            found[name + suffix] = {f: tuple(v) if isinstance(v, list) else v for f, v in fields.items()}
    return found


META_TRAIN = _of("meta_train")
PRETRAIN = _of("pretrain")
FINETUNE = _of("finetune") | _of("finetune_baseline", "_baseline")
# What a study changes in a preset for one of its methods.
OF_METHOD: dict[str, dict[str, dict[str, Fields]]] = {
    name: preset.get("of_method", {}) for name, preset in PRESETS.items()
}
# A sweep has its own seeds, and adapts by the preset of the same name.
SWEEP: dict[str, Fields] = {
    name: {field: value for field, value in fields.items() if field != "seed"} | {"adapt_preset": name}
    for name, fields in META_TRAIN.items()
}
# The demo's: the recommended network, and numbers for minutes on a laptop.
DEMO_META_TRAIN: Fields = META_TRAIN["recommended"] | {"queries": 5}
DEMO_FINETUNE: Fields = FINETUNE["recommended"]
