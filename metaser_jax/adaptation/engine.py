"""Adaptation to a target for every amount, seed and fold, as calls of one compiled program."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from metaser_jax.adaptation.draw import draw
from metaser_jax.adaptation.program import Run, make_features, make_program, make_random_params, on_features
from metaser_jax.adaptation.starts import Init
from metaser_jax.data.target import Target
from metaser_jax.devices import parallel
from metaser_jax.devices.compiling import waiting
from metaser_jax.devices.many_runs import deal, plan
from metaser_jax.errors import InputError
from metaser_jax.loops.finetuning import FinetuneInfo
from metaser_jax.loops.indexed_rows import Rows
from metaser_jax.models.classifier import make_network, take_head
from metaser_jax.results.outcomes import Amount, Outcome, outcome
from metaser_jax.specs import INNER, LEARNER, FinetuneSpec, MetaTrainSpec
from metaser_jax.types import Augment, Params

# Row indices are padded to a multiple, so that corpora's parts of about the same size share a program.
PAD = 64
# Runs of a device in a call, where somebody waits for them.
_WATCHED_RUNS = 2


class Case(NamedTuple):
    """One adaptation.

    Attributes:
      fold: whose corpus, split and test part it has.
      amount: that was drawn; for messages.
      seed: of its training.
      drawn: utterances to train on and to validate on, indices into the fold's corpus.
    """

    fold: int
    amount: Amount
    seed: int
    drawn: tuple[np.ndarray, np.ndarray]


class Trained(NamedTuple):
    """What a case gives.

    Attributes:
      logits: [n_test, class], of its fold's test part.
      info: of its training.
      params: those that training changes, all or the head's; None unless they were asked for.
    """

    logits: np.ndarray
    info: FinetuneInfo
    params: Params | None


def adapt(
    spec: FinetuneSpec,
    inits: Sequence[Init],
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    seeds: int,
    log: Callable[[str], None] | None = None,
) -> list[Outcome]:
    """Fine-tune for every fold, amount and seed (0 .. seeds - 1), and predict the fold's test part.

    Args:
      spec: how.
      inits: where to start; seed s starts from inits[s % len(inits)]. All of the network that spec names.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw.
      seeds: how many draws of each.
      log: prints a line of progress.

    Returns:
      Outcomes in the order fold, amount, seed. Their `seconds` are the whole's, divided by the number of runs.

    Raises:
      InputError: nothing to do; a draw that the training part does not allow, before anything is trained; a training
        that diverged.
    """
    for what, given in (("inits", inits), ("folds", folds), ("amounts", amounts)):
        if not given:
            raise InputError(f"{what}: got none, expected at least one.")
    nothing = [amount for amount in amounts if not amount.value]
    if nothing and any(init.params is None for init in inits):
        raise InputError("shots=0: got random parameters to start from, expected trained ones, which say something.")
    if nothing and spec.of_split and spec.normalise_by == "drawn":
        raise InputError(f"--normalise_by=drawn: got --shots=0 with --normalise={spec.normalise}, expected train.")
    cases = [
        Case(fold, amount, seed, draw(ready, amount, spec.validation, seed))
        for fold, ready in enumerate(folds)
        for amount in amounts
        for seed in range(seeds)
    ]
    start = time.perf_counter()
    results = train_and_predict(spec, inits, folds, cases, log)
    seconds = (time.perf_counter() - start) / len(cases)
    return [
        outcome(
            spec,
            folds[case.fold],
            inits[case.seed % len(inits)].source,
            case.amount,
            case.seed,
            case.drawn,
            result.logits.argmax(-1),
            best_epoch=int(result.info.best_epoch),
            epochs=int(result.info.epochs),
            seconds=seconds,
        )
        for case, result in zip(cases, results, strict=True)
    ]


def train_and_predict(
    spec: FinetuneSpec,
    inits: Sequence[Init],
    folds: Sequence[Target],
    cases: Sequence[Case],
    log: Callable[[str], None] | None = None,
    *,
    augment: Augment | None = None,
    keep_params: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trained]:
    """Train every case and predict its fold's test part; arguments as `adapt`.

    Args:
      progress: called after every few runs with how many are done, and how many there are; what it raises ends the
        training.

    Raises:
      InputError: a training that diverged.
    """
    of_cases = plan(len(cases), spec.devices)
    if progress is not None:
        progress(0, len(cases))
        of_cases = of_cases._replace(per_device=min(of_cases.per_device, _WATCHED_RUNS * of_cases.at_once))
    runs, x, y = _runs(spec, inits, folds, cases, of_cases.chunk if on_features(spec, augment) else None)
    x, y = parallel.replicate((x, y), parallel.task_mesh(of_cases.devices, of_cases.devices))
    program = make_program(spec, of_cases, augment, keep_params, learner=_learner_of(spec, inits, augment))
    nothing = jax.tree.map(np.zeros_like, runs[0])
    if log is not None:
        log(waiting(folds[0].corpus.name, f"{len(cases)} runs of fine-tuning, {of_cases.devices} at a time"))
    # The gradient of an utterance takes about three times as long as its loss.
    load = [3 * len(train) + len(valid) for train, valid in (case.drawn for case in cases)]
    results: dict[int, Trained] = {}
    for call in deal(load, of_cases):
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(runs[i] if i >= 0 else nothing for i in call))
        of_call = jax.tree.map(np.asarray, program(stacked, x, y))
        for place in np.flatnonzero(call >= 0):
            i = int(call[place])
            logits, info, params = jax.tree.map(lambda a, place=place: a[place], of_call)
            logits = logits[: runs[i].test.n]
            _check_finite(spec, folds, cases[i], logits, params)
            results[i] = Trained(logits, info, params)
        if log is not None:
            log(f"Adapted to {folds[0].corpus.name}: {len(results)} of {len(cases)} runs.")
        if progress is not None:
            progress(len(results), len(cases))
    return [results[i] for i in range(len(cases))]


def _runs(
    spec: FinetuneSpec, inits: Sequence[Init], folds: Sequence[Target], cases: Sequence[Case], features: int | None
) -> tuple[list[Run], np.ndarray, np.ndarray]:
    """Return the cases as runs, and the x [m, ...] and y [m] that their rows are of.

    x is the corpus as each fold has its input; with features, that many utterances at once, what the LSTM layers make
    of that from each start.
    """
    label = folds[0].corpus.label
    # What its statistics are of: a case's draw, or its fold's training part, or nothing that depends on either.
    by_draw = spec.normalise_by == "drawn"
    input_of = [((case.fold, i if by_draw else -1) if spec.of_split else ()) for i, case in enumerate(cases)]
    fits = [case.drawn[0] if by_draw else folds[case.fold].split.train for case in cases]
    case_of = dict(zip(input_of, zip(cases, fits, strict=True), strict=True))
    inputs = {name: folds[case.fold].as_input(spec.front_end, fit).corpus.mfcc for name, (case, fit) in case_of.items()}
    start_of = [_start_of(spec, inits, case, i) for i, case in enumerate(cases)]
    starts = {
        name: _start(spec, inits[name[0]], cases[i].seed, inputs[input_of[i]][fits[i]])
        for name, i in {name: i for i, name in enumerate(start_of)}.items()
    }
    rates = None
    learned = [init.meta.params for init in inits if init.meta is not None]
    if spec.optimizer == LEARNER and learned:
        starts = {name: learned[name[0]] for name in starts}
    elif spec.optimizer in (INNER, LEARNER):
        rates = {name: _rates(spec, inits[name[0]], params) for name, params in starts.items()}
    block_of = list(zip(input_of, start_of if features else [None] * len(cases), strict=True))
    names = list(dict.fromkeys(block_of))
    blocks = [inputs[x] for x, _ in names]
    if features:
        features_of = make_features(make_network(spec, spec.recurrence), features)
        blocks = [features_of(starts[name], inputs[x]) for x, name in names]
        starts = {name: take_head(params) for name, params in starts.items()}
        if rates is not None:
            rates = {name: take_head(of) for name, of in rates.items()}
    first_row = {name: number * len(label) for number, name in enumerate(names)}

    parts = [(*case.drawn, folds[case.fold].split.test) for case in cases]
    longest = [max(map(len, part)) for part in zip(*parts, strict=True)]
    runs = []
    for case, start, block, of_case in zip(cases, start_of, block_of, parts, strict=True):
        train, valid, test = (_rows(first_row[block] + part, n) for part, n in zip(of_case, longest, strict=True))
        valid = None if spec.validation == "none" else valid
        runs.append(Run(starts[start], rates and rates[start], np.uint32(case.seed), train, valid, test))
    return runs, np.concatenate(blocks), np.tile(label, len(blocks))


def _learner_of(spec: FinetuneSpec, inits: Sequence[Init], augment: Augment | None) -> MetaTrainSpec | None:
    """Return whose way of adapting is to be followed; None: fine-tuning's own.

    Raises:
      InputError: starts that adapt in different ways; a learner that cannot adapt to sets of any size.
    """
    if spec.optimizer != LEARNER or all(init.meta is None for init in inits):
        return None
    # On what and from which seed it was trained changes nothing, and no program.
    any_run = {"sources": ("one", "another"), "seed": 0, "split_seed": 0}
    specs = [init.meta and dataclasses.replace(init.meta.spec, **any_run) for init in inits]
    first = specs[0]
    if first is None or any(other != first for other in specs):
        raise InputError(f"--optimizer={LEARNER}: got starts of different learners, expected runs that differ in seed.")
    if first.inner_batch_size or augment is not None:
        raise InputError(
            f"--optimizer={LEARNER}: got a run with --inner_batch_size={first.inner_batch_size}, or augmentation; "
            "expected neither: the learner takes the drawn clips as they are, at once. Give another --optimizer."
        )
    return first


def _start_of(spec: FinetuneSpec, inits: Sequence[Init], case: Case, number: int) -> tuple[int, ...]:
    """Return which of inits the case starts from, and whatever else its parameters depend on.

    Those of scratch on the seed.
    """
    which = case.seed % len(inits)
    if inits[which].params is not None:
        return (which,)
    # Their statistics of the input, where they have some, are of what it is normalised by.
    by = number if spec.normalise_by == "drawn" else case.fold
    return (which, case.seed, by if spec.input_statistics else 0)


def _start(spec: FinetuneSpec, init: Init, seed: int, training: np.ndarray) -> Params:
    """Return the parameters; training [n, time, coef] is what the input is normalised by."""
    params = init.params
    if params is None:
        # One utterance where only its shape counts, so that folds share the program.
        x = training if spec.input_statistics else training[:1]
        params = make_random_params(make_network(spec, spec.recurrence))(seed, x)
    return jax.tree.map(np.asarray, params)


def _rates(spec: FinetuneSpec, init: Init, params: Params) -> Params:
    """Return the inner rate of each parameter: learned, or spec.lr."""
    if init.rates is None:
        return jax.tree.map(lambda p: np.full_like(p, spec.lr), params)
    return jax.tree.map(np.asarray, init.rates)


def _rows(index: np.ndarray, longest: int) -> Rows:
    n_max = max(PAD, -(-longest // PAD) * PAD)
    return Rows(np.pad(index, (0, n_max - len(index))).astype(np.int32), np.int32(len(index)))


def _check_finite(
    spec: FinetuneSpec, folds: Sequence[Target], case: Case, logits: np.ndarray, params: Params | None
) -> None:
    # The parameters too: where nothing is predicted they alone tell.
    if not all(np.isfinite(a).all() for a in jax.tree.leaves((logits, params))):
        fold = f", fold {case.fold}" if len(folds) > 1 else ""
        raise InputError(
            f"--lr={spec.lr}: fine-tuning on {folds[0].corpus.name} diverged, with "
            f"{case.amount.kind}={case.amount.value}, seed {case.seed}{fold}. Lower it, in another --out."
        )
