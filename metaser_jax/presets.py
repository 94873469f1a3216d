"""Named settings of the programs: other defaults for a configuration's fields. Flags that are given win over them."""

from typing import Any

_PAPER_MODEL = {"hidden_dim": 128, "pooling": "last", "activation": "none", "normalise": "none"}
# Chosen on the validation part of URDU (random split): experiments/README.md has the measurements.
_RECOMMENDED_MODEL = {"hidden_dim": 64, "pooling": "mean_std", "activation": "relu", "normalise": "corpus"}

META_TRAIN: dict[str, dict[str, Any]] = {
    # The paper's numbers; where its words allow two readings (tasks or inner steps: 8), the authors' params.json. 125
    # shots need sources with 135 training utterances of each emotion, such as TESS; others want a lower --shots.
    "paper": {
        **_PAPER_MODEL,
        "order": "second",
        "inner_steps": 1,
        "inner_lr": 2e-4,
        "meta_lr": 1e-6,
        "tasks_per_episode": 8,
        "shots": 125,
        "queries": 10,
        "episodes": 10_000,
        "seed": 1,
    },
    "recommended": {
        **_RECOMMENDED_MODEL,
        "order": "second",
        "inner_steps": 1,
        "inner_lr": 0.05,
        "meta_lr": 1e-3,
        "tasks_per_episode": 8,
        "shots": 5,
        "queries": 10,
        "episodes": 200,
    },
}

PRETRAIN: dict[str, dict[str, Any]] = {
    # NOTE: for the baselines the paper gives neither the optimizer (this is the one that it meta-learns with), nor the
    # length of a cycle (this is the default of PyTorch's CyclicLR), nor when a validation loss has converged.
    "paper": {
        **_PAPER_MODEL,
        "optimizer": "adam",
        "schedule": "cyclical",
        "base_lr": 2e-5,
        "lr": 1e-4,
        "half_cycle": 2000,
        "batch_size": 64,
        "max_epochs": 1000,
        "patience": 20,
    },
    "recommended": {
        **_RECOMMENDED_MODEL,
        "optimizer": "adam",
        "schedule": "constant",
        "lr": 1e-3,
        "batch_size": 64,
        "max_epochs": 100,
        "patience": 10,
    },
}

FINETUNE: dict[str, dict[str, Any]] = {
    # NOTE: the paper does not give MetaSER's fine-tuning schedule; this is its task learning rate with the batch size
    # and the limit of epochs that it gives for the baselines.
    "paper": {
        **_PAPER_MODEL,
        "adapt": "all",
        "validation": "split",
        "optimizer": "sgd",
        "lr": 2e-4,
        "batch_size": 64,
        "max_epochs": 2500,
    },
    # How the paper adapts TransSER and MultiSER. NOTE: it gives neither the optimizer nor the length of a cycle; Adam
    # and 2000 steps each way, which is PyTorch's default, are ours.
    "paper_baseline": {
        **_PAPER_MODEL,
        "adapt": "head",
        "validation": "split",
        "optimizer": "adam",
        "schedule": "cyclical",
        "base_lr": 2e-5,
        "lr": 1e-4,
        "half_cycle": 2000,
        "batch_size": 64,
        "max_epochs": 2500,
    },
    "recommended": {
        **_RECOMMENDED_MODEL,
        "adapt": "all",
        "validation": "split",
        "optimizer": "adam",
        "lr": 2e-3,
        "batch_size": 64,
        "max_epochs": 100,
        "patience": 15,
    },
}

# The demo's: the recommended input and pooling, with a network and numbers for minutes on a laptop.
DEMO_META_TRAIN: dict[str, Any] = {
    **_RECOMMENDED_MODEL,
    "hidden_dim": 32,
    "order": "second",
    "inner_steps": 1,
    "inner_lr": 0.1,
    "meta_lr": 3e-3,
    "tasks_per_episode": 4,
    "shots": 5,
    "queries": 5,
    "episodes": 80,
    "log_every": 10,
    "checkpoint_every": 50,
}
DEMO_FINETUNE: dict[str, Any] = {
    **_RECOMMENDED_MODEL,
    "hidden_dim": 32,
    "adapt": "all",
    "optimizer": "adam",
    "lr": 3e-3,
    "max_epochs": 50,
    "patience": 10,
}
