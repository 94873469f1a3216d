"""Few-shot tasks from any labelled arrays: k shots of each of n classes, drawn on the device inside jit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaser_jax.errors import InputError
from metaser_jax.training.sampling.bank import Bank, of_arrays
from metaser_jax.training.sampling.episodes import draw_without_replacement, sample
from metaser_jax.types import Episode


def task_sampler(
    x: Any,
    y: Any,
    *,
    n_way: int,
    shots: int,
    queries: int,
    tasks: int,
    group: Any = None,
    permute: bool = True,
) -> jax.tree_util.Partial:
    """Make a function that draws k-shot n-way tasks from labelled examples: a pure one, to run inside jit.

        sampler = task_sampler(images, labels, n_way=5, shots=1, queries=15, tasks=32)
        episode = sampler(key)  # support x [32, 5, ...], query x [32, 75, ...]; y from 0 to 4

    Args:
      x: examples, an array [example, ...] or a pytree of them.
      y: [example], the class of each: integers or names, in any order and with gaps.
      n_way: classes of a task, drawn at random.
      shots: support examples per class.
      queries: query examples per class; none is in the support set.
      tasks: tasks of an episode.
      group: [example], integers or names: each task is of one group (a language, a speaker, an alphabet) and of classes
        that it has; the groups take turns. None makes one group of all.
      permute: whether each task numbers its classes from 0 to n_way - 1 at random, so that a label says nothing
        outside its task; otherwise in the order of y.

    Returns:
      sampler(key, first=0, tasks=tasks) -> Episode, task-major and grouped by class. A task depends on the key and on
      its number alone, so devices that draw `tasks` of them each, from number `first` on, draw the same episode
      together. It is a pytree: a jitted function that takes it as an argument need not hold the examples as constants.

    Raises:
      InputError: x, y or group of different lengths; numbers below 1; more classes than there are, or than a group
        has; a class with fewer than shots + queries examples (of a group, where it has any).
    """
    for name, number in {"n_way": n_way, "shots": shots, "queries": queries, "tasks": tasks}.items():
        if number < 1:
            raise InputError(f"{name}: got {number}, expected 1 or more.")
    classes, label = _numbered("y", y)
    groups, source = _numbered("group", np.zeros(len(label), int) if group is None else group)
    for path, leaf in [*jax.tree_util.tree_leaves_with_path(x), ((), source)]:
        if np.shape(leaf)[:1] != label.shape:
            what = "group" if leaf is source else f"x{jax.tree_util.keystr(path)}"
            raise InputError(f"{what}: got shape {np.shape(leaf)}, expected one for each of y's {len(label)} examples.")

    bank = of_arrays(x, source, label, (len(groups), len(classes)))
    count = np.asarray(bank.count)
    of_group = [""] if group is None else [f" in group {name}" for name in groups]
    short = [
        f"class {classes[c]}{of_group[g]} has {count[g, c]}"
        for g, c in np.argwhere((count > 0) & (count < shots + queries))
    ]
    if short:
        raise InputError(
            f"Too few examples for tasks: {', '.join(short)}; expected at least {shots + queries} of each class "
            f"({shots} shots + {queries} queries)."
        )
    for name, have in zip(of_group, (count > 0).sum(axis=1), strict=True):
        if have < n_way:
            raise InputError(f"n_way: got {n_way}, expected at most the {have} classes that there are{name}.")

    def choose(key: jax.Array, count: jax.Array) -> jax.Array:
        there = jnp.flatnonzero(count, size=count.size, fill_value=0).astype(jnp.int32)
        chosen = draw_without_replacement(key, there[None], jnp.sum(count > 0, dtype=jnp.int32)[None], n_way)[0]
        return chosen if permute else jnp.sort(chosen)

    def draw(bank: Bank, key: jax.Array, first: int | jax.Array = 0, tasks: int = tasks) -> Episode:
        return sample(key, bank, tasks=tasks, shots=shots, queries=queries, first=first, choose=choose)

    return jax.tree_util.Partial(draw, bank)


def _numbered(name: str, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values, sorted, and which of them each is, [example] int."""
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "biuSU" or not values.size:
        raise InputError(
            f"{name}: got {values.dtype} of shape {values.shape}, expected an integer or a name for each example: "
            "[example]."
        )
    return np.unique(values, return_inverse=True)
