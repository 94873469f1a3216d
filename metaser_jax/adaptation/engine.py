"""Adaptation to a target for every amount, seed and fold, as calls of one compiled program."""

import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from metaser_jax.adaptation.starts import Init
from metaser_jax.data import splits
from metaser_jax.data.corpus import Corpus
from metaser_jax.data.inputs import weights
from metaser_jax.data.target import Target
from metaser_jax.data.together import Shape, Together, count_labelled, label_together
from metaser_jax.errors import InputError
from metaser_jax.messages import log
from metaser_jax.models.classifier import Network, answer_of, make_network, take_head, trained_logits, with_head
from metaser_jax.models.losses import cross_entropy
from metaser_jax.results.outcomes import Amount, Outcome, outcome
from metaser_jax.specs import INNER, LEARNER, FinetuneSpec, MetaTrainSpec, OptimizerSpec
from metaser_jax.specs.algorithms import ALGORITHMS
from metaser_jax.training import parallel
from metaser_jax.training.loops.finetuning import FinetuneInfo, Rows, apply_to_rows, finetune
from metaser_jax.training.trainer import init_params, make_learner, make_optimizer
from metaser_jax.types import Batch, Params

# Row indices are padded to a multiple, so that corpora's parts of about the same size share a program.
PAD = 64
# Runs of a device in a call, where somebody waits for them.
_WATCHED_RUNS = 2


class Case(NamedTuple):
    """An adaptation.

    Attributes:
      fold: whose corpus, split and test part it has. amount: that was drawn; for messages. seed: of its training.
      drawn: utterances to train on and to validate on, indices into the fold's corpus.
    """

    fold: int
    amount: Amount
    seed: int
    drawn: tuple[np.ndarray, np.ndarray]


class Trained(NamedTuple):
    """The result of a case.

    Attributes:
      logits: [n_test, class], of its fold's test part. info: of its training.
      params: those that training changes, all or the head's; None unless they were asked for.
    """

    logits: np.ndarray
    info: FinetuneInfo
    params: Params | None


class Run(NamedTuple):
    """An adaptation as the program takes it; all zero is a run that has nothing to do.

    Attributes:
      params: where it starts; of a learner its meta-parameters, of the head alone the dense layers'.
      rates: of --optimizer=inner, the rate of each parameter; else None.
      seed: scalar uint32.
      train, valid, test: of the program's utterances; valid is None where nothing is validated on.
    """

    params: Params
    rates: Params | None
    seed: Any
    train: Rows
    valid: Rows | None
    test: Rows


Program = Callable[[Run, jax.Array, jax.Array], tuple[jax.Array, FinetuneInfo, Params | None]]
"""(runs [run], x [m, ...], y [m]) -> (test logits [run, n_max, class], info [run], params [run] that were trained)."""

Tune = Callable[[Run, jax.Array, jax.Array], tuple[Params, FinetuneInfo]]
"""(run, x [m, ...], y [m]) -> parameters that predict, and what their training was."""


def draw(target: Target, amount: Amount, validation: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the utterances that a seed trains on and validates on: sorted indices into target.corpus.

    They depend on the corpus, its split and the arguments alone, so methods are compared on the same draws.

    Args:
      target: with the training part. amount: of it; 0 shots are no utterances.
      validation: where the others come from, see FinetuneSpec.
      seed: of the draw.

    Raises:
      InputError: a bad amount, or one that the training part does not allow.
    """
    corpus, pool = target.corpus, target.split.train
    if amount.kind == "shots":
        if amount.value == 0 and validation == "draw":
            raise InputError("--validation=draw: got --shots=0, of which nothing can be held out. Give none or split.")
        drawn = splits.draw_shots(corpus, pool, int(amount.value), seed)
    else:
        drawn = splits.draw_fraction(corpus, pool, amount.value, seed)
    if validation == "split":
        return drawn, target.split.valid
    if validation == "draw":
        return splits.hold_out(corpus, drawn, seed)
    return drawn, drawn[:0]


def draw_cases(folds: Sequence[Target], amounts: Sequence[Amount], seeds: int, validation: str) -> list[Case]:
    """Return the cases of every fold, amount and seed (0 .. seeds - 1), in this order. Raises InputError as `draw`."""
    return [
        Case(fold, amount, seed, draw(target, amount, validation, seed))
        for fold, target in enumerate(folds)
        for amount in amounts
        for seed in range(seeds)
    ]


def adapt(
    spec: FinetuneSpec,
    inits: Sequence[Init],
    folds: Sequence[Target],
    amounts: Sequence[Amount],
    seeds: int,
    *,
    together: bool = False,
) -> list[Outcome]:
    """Fine-tune for every fold, amount and seed (0 .. seeds - 1), and predict the fold's test part.

    Its progress is logged.

    Args:
      spec: how.
      inits: where to start; seed s starts from inits[s % len(inits)]. All of the network that spec names.
      folds: the target, not normalised yet, with each of its splits.
      amounts: of training utterances to draw. seeds: how many draws of each.
      together: whether after each outcome there is one of the test part's clips labelled together, by voices, where
        every start has a shape.

    Returns:
      Outcomes in the order fold, amount, seed. Their `seconds` are the whole's, divided by the number of runs.

    Raises:
      InputError: a draw that the training part does not allow, before anything is trained; a training
        that diverged.
    """
    if not all(amount.value for amount in amounts):
        if any(init.params is None for init in inits):
            raise InputError("shots=0: got random parameters to start from, expected trained ones.")
        if spec.of_split and spec.normalise_by == "drawn":
            raise InputError(f"--normalise_by=drawn: got --shots=0 with --normalise={spec.normalise}, expected train.")
    cases = draw_cases(folds, amounts, seeds, spec.validation)
    start = time.perf_counter()
    together = together and spec.of_voice and all(init.shape is not None for init in inits)
    results = train_and_predict(spec, inits, folds, cases, keep_params=together)
    seconds = (time.perf_counter() - start) / len(cases)
    outcomes = []

    @functools.cache
    def heard(fold: int, number: int) -> Corpus:
        """Return a fold as a network is given it; of what its draws are normalised by, of each."""
        fit = cases[number].drawn[0] if number >= 0 else None
        return folds[fold].as_input(spec.front_end, fit).corpus

    for number, (case, (logits, info, params)) in enumerate(zip(cases, results, strict=True)):
        target, init = folds[case.fold], inits[case.seed % len(inits)]
        about = spec, target, init.source, *case[1:]
        more = {"best_epoch": int(info.best_epoch), "epochs": int(info.epochs), "seconds": seconds}
        outcomes.append(outcome(*about, logits.argmax(-1), **more))
        if together:
            begun = time.perf_counter()
            params = with_head(init.params, params) if spec.adapt == "head" and init.params is not None else params
            seen = heard(case.fold, number if spec.normalise_by == "drawn" else -1)
            found = label_part(spec, params, seen, target.split.test, case.drawn[0], init.shape)
            more["seconds"] = seconds + time.perf_counter() - begun
            outcomes.append(outcome(*about, found.posteriors.argmax(-1), **more, together=True))
    return outcomes


def label_part(
    spec: FinetuneSpec, params: Params, corpus: Corpus, test: np.ndarray, drawn: np.ndarray, shape: Shape | None
) -> Together:
    """Return what a network says of some clips of a corpus together, by their speakers.

    Args:
      spec: of the adaptation. params: of the adapted network.
      corpus: as the network is given it.
      test: [n] int, the clips.
      drawn: [m] int, those that it was adapted to.
      shape: of its sources.
    """
    assert shape is not None
    labelled = count_labelled(corpus.mfcc[drawn, 0], corpus.label[drawn], len(spec.emotions))
    answer = functools.partial(answer_of, make_network(spec), params)
    weight = weights(spec.front_end)
    return label_together(corpus.mfcc[test, 0], corpus.speaker[test], answer, shape, labelled, weight=weight)


def train_and_predict(
    spec: FinetuneSpec,
    inits: Sequence[Init],
    folds: Sequence[Target],
    cases: Sequence[Case],
    *,
    keep_params: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trained]:
    """Train every case and predict its fold's test part; arguments as `adapt`. Raises InputError: one diverged.

    Args:
      progress: called after every few runs with how many are done and there are; what it raises ends the training.
    """
    of_cases, target, count = parallel.plan(len(cases), spec.devices), folds[0].corpus.name, len(cases)
    if progress is not None:
        progress(0, count)
        of_cases = of_cases._replace(per_device=min(of_cases.per_device, _WATCHED_RUNS * of_cases.at_once))
    runs, x, y = _make_runs(spec, inits, folds, cases, of_cases.chunk)
    x, y = parallel.replicate((x, y), parallel.task_mesh(of_cases.devices, of_cases.devices))
    program = make_program(spec, of_cases, keep_params=keep_params, learner=_common_learner(spec, inits))
    nothing = jax.tree.map(np.zeros_like, runs[0])
    log(parallel.waiting(target, f"{count} runs of fine-tuning, {of_cases.devices} at a time"))
    # The gradient of an utterance takes about three times as long as its loss.
    load = [3 * len(train) + len(valid) for train, valid in (case.drawn for case in cases)]
    results: dict[int, Trained] = {}
    for call in parallel.deal(load, of_cases):
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(runs[i] if i >= 0 else nothing for i in call))
        of_call = jax.tree.map(np.asarray, program(stacked, x, y))
        for place in np.flatnonzero(call >= 0):
            i = int(call[place])
            logits, info, params = jax.tree.map(lambda a, place=place: a[place], of_call)
            results[i] = Trained(logits[: runs[i].test.n], info, params)
            # The parameters too: where nothing is predicted they alone tell.
            if not all(np.isfinite(a).all() for a in jax.tree.leaves((results[i].logits, params))):
                fold, (kind, value), seed, _ = cases[i]
                at = f"{kind}={value}, seed {seed}" + (f", fold {fold}" if len(folds) > 1 else "")
                raise InputError(f"--lr={spec.lr}: training on {target} diverged ({at}). Lower it, in another --out.")
        log(f"Adapted to {target}: {len(results)} of {count} runs.")
        if progress is not None:
            progress(len(results), count)
    return [results[i] for i in range(count)]


def _make_runs(
    spec: FinetuneSpec, inits: Sequence[Init], folds: Sequence[Target], cases: Sequence[Case], chunk: int
) -> tuple[list[Run], np.ndarray, np.ndarray]:
    """Return the cases as runs, and the x [m, ...] and y [m] that their rows are of.

    x has the corpus once for each input that the folds have of it; where the head alone is adapted, what the LSTM
    layers make of that, so many utterances at once, from each start.
    """
    label, by_draw, head = folds[0].corpus.label, spec.normalise_by == "drawn", spec.adapt == "head"
    features = _make_features(make_network(spec, spec.recurrence), chunk)
    longest = [max(map(len, part)) for part in zip(*((*c.drawn, folds[c.fold].split.test) for c in cases), strict=True)]
    inputs: dict[Hashable, np.ndarray] = {}
    starts: dict[Hashable, tuple[Params, Params | None]] = {}
    blocks: dict[Hashable, np.ndarray | jax.Array] = {}
    runs = []
    for number, case in enumerate(cases):
        fold, which = folds[case.fold], case.seed % len(inits)
        # What statistics of the input are of: the case's draw, or its fold's training part.
        statistics, fit = (number, case.drawn[0]) if by_draw else (case.fold, fold.split.train)
        seen = statistics if spec.of_split else None
        if seen not in inputs:
            inputs[seen] = fold.as_input(spec.front_end, fit).corpus.mfcc
        random = (case.seed, statistics if spec.input_statistics else None)
        start = (which, *random) if inits[which].params is None else which
        if start not in starts:
            starts[start] = _make_start(spec, inits[which], case.seed, inputs[seen][fit])
        params, rates = starts[start]
        block = (seen, start) if head else seen
        if block not in blocks:
            blocks[block] = features(params, inputs[seen]) if head else inputs[seen]
        first_row = len(label) * list(blocks).index(block)
        parts = (*case.drawn, fold.split.test)
        train, valid, test = (_pad_rows(first_row + part, n) for part, n in zip(parts, longest, strict=True))
        if head:
            params, rates = take_head(params), rates and take_head(rates)
        runs.append(Run(params, rates, np.uint32(case.seed), train, None if spec.validation == "none" else valid, test))
    return runs, np.concatenate(list(blocks.values())), np.tile(label, len(blocks))


def _make_start(spec: FinetuneSpec, init: Init, seed: int, training: np.ndarray) -> tuple[Params, Params | None]:
    """Return what is adapted, and the inner rate of each parameter, learned or spec.lr; None for other optimizers.

    Args: training: [n, time, coef], what the input is normalised by.
    """
    if spec.optimizer == LEARNER and init.meta is not None:
        return init.meta.params, None
    params = init.params
    if params is None:
        # One utterance where only its shape counts, so that folds share the program.
        x = training if spec.input_statistics else training[:1]
        params = _random_params(make_network(spec, spec.recurrence), seed, x)
    params = jax.tree.map(np.asarray, params)
    if spec.optimizer not in (INNER, LEARNER):
        return params, None
    own = jax.tree.map(lambda p: np.full_like(p, spec.lr), params)
    return params, own if init.rates is None else jax.tree.map(np.asarray, init.rates)


def _pad_rows(index: np.ndarray, longest: int) -> Rows:
    n_max = max(PAD, -(-longest // PAD) * PAD)
    return Rows(np.pad(index, (0, n_max - len(index))).astype(np.int32), np.int32(len(index)))


def _common_learner(spec: FinetuneSpec, inits: Sequence[Init]) -> MetaTrainSpec | None:
    """Return whose way of adapting is to be followed; None: fine-tuning's own.

    Raises InputError: starts that adapt in different ways; a learner that cannot adapt to sets of any size.
    """
    if spec.optimizer != LEARNER or all(init.meta is None for init in inits):
        return None
    # On what and from which seed it was trained changes nothing, and no program.
    any_run = {"sources": ("one", "another"), "seed": 0, "split_seed": 0}
    specs = {init.meta and dataclasses.replace(init.meta.spec, **any_run) for init in inits}
    learner = specs.pop()
    if learner is None or specs:
        raise InputError(f"--optimizer={LEARNER}: got starts of different learners, expected runs that differ in seed.")
    if learner.inner_batch_size:
        got = f"--optimizer={LEARNER}: got a run with --inner_batch_size={learner.inner_batch_size}"
        raise InputError(f"{got}, expected 0, all drawn clips at once. Give another --optimizer.")
    return learner


@functools.cache
def make_program(
    spec: FinetuneSpec,
    plan: parallel.Plan,
    *,
    keep_params: bool = False,
    mesh: Mesh | None = None,
    learner: MetaTrainSpec | None = None,
) -> Program:
    """Return the program of a configuration; its params are None unless they are kept.

    Methods, amounts, folds and seeds share its compiled form, where their arrays are of the same sizes. Where the head
    alone is adapted, x are the features that it sees. The mesh is over_runs'; with a learner, the runs adapt as it.
    """
    model = learner or spec
    network = make_network(model, model.recurrence)
    # A head keeps little of an utterance.
    method, chunk = ("head", 0) if spec.adapt == "head" else ("__call__", plan.chunk)
    tune = _tune_by_epochs(spec, network, method, chunk) if learner is None else _tune_as_learner(learner)
    apply: Any = functools.partial(network.apply, method=method)

    def one_run(run: Run, x: jax.Array, y: jax.Array):
        params, info = tune(run, x, y)
        return apply_to_rows(apply, params, x, run.test, chunk), info, params if keep_params else None

    return jax.jit(parallel.over_runs(one_run, plan, mesh), compiler_options=parallel.compiler_options())


def _tune_by_epochs(spec: FinetuneSpec, network: Network, method: str, chunk: int) -> Tune:
    # Updates are multiplied by the runs' rates; of members each has its own part of the loss's gradient.
    by_rates = OptimizerSpec(optimizer="sgd", lr=float(spec.members))
    own = dataclasses.replace(spec, lr=spec.lr * spec.members) if spec.optimizer == "sgd" else spec
    optimizer = make_optimizer(by_rates if spec.optimizer in (INNER, LEARNER) else own)
    loss_fn = cross_entropy(trained_logits(network, method))
    limits: dict[str, Any] = {name: getattr(spec, name) for name in ("batch_size", "max_epochs", "patience")}

    def tune(run: Run, x: jax.Array, y: jax.Array) -> tuple[Params, FinetuneInfo]:
        of_run = loss_fn, run.params, _split_seed(run.seed)[1], Batch(x, y), run.train, run.valid
        return finetune(*of_run, optimizer=optimizer, rates=run.rates, chunk=chunk, **limits)

    return tune


def _tune_as_learner(spec: MetaTrainSpec) -> Tune:
    learner = make_learner(spec, cross_entropy(trained_logits(make_network(spec, spec.recurrence))))

    def tune(run: Run, x: jax.Array, y: jax.Array) -> tuple[Params, FinetuneInfo]:
        there = jnp.arange(len(run.train.index)) < run.train.n
        support = Batch(x[run.train.index], y[run.train.index], there.astype(x.dtype))
        adapted = learner.adapt(run.params, support)
        none = run.train.n == 0
        params = jax.tree.map(lambda a, own: jnp.where(none, own, a), adapted, learner.params(run.params))
        steps = jnp.where(none, 0, spec.inner_steps if ALGORITHMS[spec.algorithm].has_steps else 0)
        return params, FinetuneInfo(steps, steps, jnp.zeros((), x.dtype))

    return tune


def _split_seed(seed: jax.Array | int) -> jax.Array:
    """Return a seed's keys: of its initial parameters, and of its training."""
    return jax.random.split(jax.random.key(seed))


@functools.partial(jax.jit, static_argnums=0)
def _random_params(network: Network, seed: int, x: jax.Array) -> Params:
    """Return a seed's initial parameters, as trainer.init_params of x [n, time, coef]."""
    return init_params(network, _split_seed(seed)[0], x)


@functools.cache
def _make_features(network: Network, chunk: int) -> Callable[[Params, np.ndarray], jax.Array]:
    """Return the program (params, x [n, time, coef]) -> what the LSTM layers make of the utterances, [n, pooled]."""

    def features(params: Params, x: jax.Array) -> jax.Array:
        everything = Rows(jnp.arange(len(x), dtype=jnp.int32), jnp.int32(len(x)))
        return apply_to_rows(functools.partial(network.apply, method="features"), params, x, everything, chunk)

    return jax.jit(features, compiler_options=parallel.compiler_options())
