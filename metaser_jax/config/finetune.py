"""Fine-tuning."""

import dataclasses

from metaser_jax.specs import FinetuneSpec, option, require, require_folds


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FinetuneSpec):
    """metaser finetune. The network and its input are those of --init, unless that is scratch."""

    TITLE = "The target"

    data_dir: str = option("Folder of prepared corpora (metaser prepare).", there="prepared corpora (metaser prepare)")
    init: str = option(
        "Run directory to start from (metaser meta-train or pretrain), or scratch; or no network, for which "
        "flags about networks and their training are errors: svm, a support vector machine on statistics of the same "
        "input, or joint, logistic regression on them, trained on all --sources and the drawn clips together.",
        there="a run (metaser meta-train or pretrain), scratch, svm or joint",
        named=("scratch", "svm", "joint"),
    )
    target: str = option("Corpus to adapt to.")
    out: str = option("Folder for results.jsonl and config.json.", short="o")
    sources: tuple[str, ...] = option(
        "With --init=svm or joint: corpora, separated by commas, whose training parts it learns from as well.",
        (),
        common=True,
    )
    split: str = option(
        "random, as the paper, or speaker: no speaker in two parts.",
        "random",
        choices=("random", "speaker"),
        common=True,
    )
    split_seed: int = option("Seed of the target's train, validation and test parts.", 0)
    folds: int = option(
        "For corpora of few speakers: 0 is one split; K >= 2 with --split=speaker: K folds over speakers, each of them "
        "the test part once, and the results have a line per fold and seed. Where too few speakers are left for a "
        "validation part of their own, it shares those of the training part.",
        0,
        common=True,
    )
    shots: int | None = option(
        "Training utterances per emotion, 0 for what --init itself says of the target; or give --fraction.",
        None,
        common=True,
    )
    fraction: float | None = option(
        "Fraction of the training part, above 0 and at most 1; or give --shots.", None, common=True
    )
    seeds: int = option("Number of draws (seeds 0, 1, ...), each of its own utterances.", 5, common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        of_sources = self.init in ("svm", "joint")
        require(not self.sources or of_sources, "sources", self.sources, "none without --init=svm or joint")
        require(bool(self.sources) or self.init != "joint", "sources", self.sources, "corpora with --init=joint")
        require(len(set(self.sources)) == len(self.sources), "sources", self.sources, "each corpus once")
        require(self.target not in self.sources, "sources", self.sources, f"none that is the target, {self.target}")
        require_folds(self.folds, self.split == "speaker")
        given = [flag for flag in ("shots", "fraction") if getattr(self, flag) is not None]
        require(len(given) == 1, "shots", given, "exactly one of --shots=K and --fraction=F")
        if self.shots is not None:
            require(self.shots >= 0, "shots", self.shots, "0 or more")
            if self.shots == 0:
                learned = self.init != "scratch" and (self.init != "svm" or bool(self.sources))
                require(learned, "init", self.init, "a trained run with --shots=0, or svm with --sources")
        else:
            require(0 < self.fraction <= 1, "fraction", self.fraction, "a number above 0 and at most 1")
        self._require_one_or_more("seeds")
