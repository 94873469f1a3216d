"""Named settings of the programs: other defaults for a configuration's fields. Flags that are given win over them."""

from typing import Any

_PAPER_MODEL = {"hidden_dim": 128, "pooling": "last", "activation": "none", "normalise": "none"}
# An LSTM on MFCC, chosen on EMO-DB and RAVDESS as targets of one another and on URDU's validation parts.
_LSTM_MODEL = {
    "hidden_dim": 16,
    "pooling": "mean_std",
    "activation": "relu",
    "normalise": "auto",
    "trim_db": 26.5,
    "deltas": True,
    "input_statistics": True,
}
# What is recommended was chosen by experiments/unseen.py alone, on five corpora: experiments/README.md has what each
# ingredient is worth, and what lost.
_RECOMMENDED_MODEL = {
    "network": "perceptron",
    "features": "voice",
    "normalise": "auto",
    "hidden_dim": 64,
    "members": 4,
}

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
    # Few episodes: more learn the sources' own features by heart, and a new language gains nothing from those.
    "lstm": {
        **_LSTM_MODEL,
        "algorithm": "meta_sgd",
        "order": "second",
        "inner_steps": 1,
        "inner_lr": 0.05,
        "meta_lr": 2e-3,
        "meta_optimizer": "adamw",
        "weight_decay": 1.0,
        "tasks_per_episode": 4,
        "shots": 5,
        "queries": 10,
        "episodes": 40,
        "checkpoint_every": 20,
    },
    "recommended": {
        **_RECOMMENDED_MODEL,
        "init": "multiser",
        "learn_from": "all",
        "algorithm": "cautious_proto_maml",
        "order": "second",
        "inner_steps": 8,
        "inner_lr": 0.1,
        "prototype_scale": 32.0,
        "meta_lr": 1e-3,
        "meta_schedule": "cosine",
        "meta_optimizer": "adamw",
        "weight_decay": 0.1,
        "tasks_per_episode": 8,
        "shots": 10,
        "shots_mix": (0, 1, 5, 10),
        "queries": 8,
        "episodes": 200,
        "checkpoint_every": 200,
        "query_speakers": "others",
        "class_shift": 0.2,
        "corpus_shift": 0.5,
        "feature_dropout": 0.3,
        "over_tasks": "vmap",
        "chunk": 0,
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
    "lstm": {
        **_LSTM_MODEL,
        "optimizer": "adamw",
        "schedule": "constant",
        "lr": 2e-3,
        "weight_decay": 1.0,
        "batch_size": 64,
        "max_epochs": 10,
        "patience": 10,
    },
    "recommended": {
        **_RECOMMENDED_MODEL,
        "learn_from": "all",
        "optimizer": "adamw",
        "schedule": "cosine",
        "lr": 3e-3,
        "half_cycle": 400,
        "weight_decay": 1.0,
        "batch_size": 128,
        "max_epochs": 20,
        "patience": 20,
        "checkpoint_every": 20,
        "feature_dropout": 0.5,
        "label_smoothing": 0.1,
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
    # Within the drawn clips: no validation part is looked at.
    "lstm": {
        **_LSTM_MODEL,
        "adapt": "all",
        "validation": "none",
        "optimizer": "inner",
        "lr": 0.05,
        "batch_size": 64,
        "max_epochs": 40,
    },
    # The last three are for runs that were not meta-trained: ten steps on all clips at once.
    "recommended": {
        **_RECOMMENDED_MODEL,
        "adapt": "all",
        "validation": "none",
        "optimizer": "learner",
        "lr": 0.1,
        "batch_size": 1024,
        "max_epochs": 10,
    },
    # The same, for studies that adapt the head alone as well.
    "recommended_baseline": {
        **_RECOMMENDED_MODEL,
        "adapt": "all",
        "validation": "none",
        "optimizer": "sgd",
        "lr": 0.1,
        "batch_size": 1024,
        "max_epochs": 10,
    },
}

# What a study changes in a preset for one of its methods (specs/studies.py names them): "learn" in how it learns from
# sources, "adapt" in how it is adapted.
OF_METHOD: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
    "paper": {},
    "lstm": {},
    "recommended": {
        # One source after another, each as long as a quarter of MultiSER's training.
        "transser": {"learn": {"lr": 1e-3, "half_cycle": 100, "max_epochs": 30}},
        # From nothing the network has more to learn.
        "scratch": {"adapt": {"max_epochs": 100}},
    },
}

# A sweep has its own seeds, and adapts by the preset of the same name.
SWEEP: dict[str, dict[str, Any]] = {
    name: {field: value for field, value in values.items() if field != "seed"} | {"adapt_preset": name}
    for name, values in META_TRAIN.items()
}

# The demo's: the recommended network, and numbers for minutes on a laptop.
DEMO_META_TRAIN: dict[str, Any] = {**META_TRAIN["recommended"], "queries": 5}
DEMO_FINETUNE: dict[str, Any] = {**FINETUNE["recommended"]}
