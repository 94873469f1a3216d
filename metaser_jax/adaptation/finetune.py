"""`metaser finetune`: a target learned from for several seeds, and scores on the whole test part.

With folds over the target's speakers, each fold is the test part once.
"""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from metaser_jax.adaptation.classifiers import JOINT, SVM, adapt_classifier, load_sources
from metaser_jax.adaptation.engine import adapt, draw_cases
from metaser_jax.adaptation.starts import resolve
from metaser_jax.data.embeddings import with_embeddings
from metaser_jax.datasets.loading import load as load_corpus
from metaser_jax.datasets.targets import Load, load_targets, load_together
from metaser_jax.errors import InputError
from metaser_jax.results.outcomes import PREDICTIONS, Amount, write_predictions
from metaser_jax.results.run_dir import RESULTS, claim, to_lines, write_text
from metaser_jax.specs import FinetuneSpec, how_fields
from metaser_jax.specs.programs import FinetuneConfig
from metaser_jax.training import parallel

# The fields of FinetuneConfig that apply to an --init that is no network; the others are about networks.
_APPLY = {
    *("data_dir", "init", "target", "out", "split", "split_seed", "folds", "shots", "fraction", "seeds", "sources"),
    *(
        "emotions",
        "together",
        "embeddings",
        "embedding_dim",
        "embeddings_name",
        "normalise",
        "normalise_by",
        "trim_db",
        "deltas",
        "features",
        "track_groups",
    ),
}


def run_finetune(
    config: FinetuneConfig, given: Collection[str] = (), *, load: Load = load_corpus
) -> list[dict[str, Any]]:
    """Fine-tune config.seeds times, write results.jsonl, a line per seed, and predictions.npz, and return the rows.

    With config.folds that is done for each fold: a line per fold and seed. Where jax has not been used yet and there is
    no accelerator, it runs on one device per core of the CPU.

    Args:
      config: what, and where things are.
      given: as in `resolve`.
      load: reads a prepared corpus.

    Raises:
      InputError: from loading the checkpoint or the corpus, or from drawing; config.out holds something else; the
        training diverged.
    """
    parallel.one_device_per_core()
    spec, init = FinetuneSpec.of(config), None
    if config.init in (SVM, JOINT):
        if useless := sorted(set(given) - _APPLY):
            raise InputError(f"--init={config.init}: got --{', --'.join(useless)}, expected no flag of networks.")
        spec = dataclasses.replace(spec, validation="none")  # it needs none
    else:
        spec, init = resolve(config.init, spec, config.target, given)
    load = with_embeddings(load, config.embeddings, spec)
    of_split = {"split_kind": config.split, "split_seed": config.split_seed, "folds": config.folds}
    load = load_together([config.target, *config.sources], config.data_dir, spec.emotions, load)
    folds = load_targets(config.target, config.data_dir, emotions=spec.emotions, **of_split, load=load)
    sources = load_sources(config.sources, config.data_dir, spec.emotions, load)
    amount = Amount("fraction", config.fraction) if config.shots is None else Amount("shots", config.shots)
    # Drawn before anything is written: what a later fold does not allow is an error at once.
    draw_cases(folds, [amount], config.seeds, spec.validation)
    together, known = config.together != "off", init.shape is not None if init else bool(sources)
    if config.together == "on" and not (spec.of_voice and known):
        got = f"--together=on: what the sources of {config.init} say of the input is not known"
        raise InputError(f"{got}, expected a run of this version over the voice. Give auto.")
    out = Path(config.out)
    settings = dataclasses.asdict(config) | dataclasses.asdict(spec)
    settings |= {"corpus_digest": folds[0].digest, "source_digests": [source.digest for source in sources]}
    claim(out, settings, free=("data_dir", "out", *how_fields(FinetuneConfig)))
    if init is None:
        outcomes = adapt_classifier(config.init, spec, folds, [amount], config.seeds, sources, together=together)
    else:
        outcomes = adapt(spec, [init], folds, [amount], config.seeds, together=together)
    rows = [outcome.row for outcome in outcomes]
    write_predictions(out / PREDICTIONS, folds[0].corpus, outcomes)
    write_text(out / RESULTS, to_lines(rows))
    return rows
