"""How a meta-gradient is computed, which changes its speed and memory and not its value: named options, with defaults.

The defaults are those of the platform that a program is lowered for, whatever it is traced on. A CPU's were measured
(experiments/benchmarks/README.md); those of others were compiled for their memory and not run.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax

from metaser_jax.errors import InputError, check_choice
from metaser_jax.models.losses import LossFn, MeanLoss

OVER_TASKS = ("scan", "vmap")
HVP = ("forward_over_reverse", "reverse_over_reverse")
RESIDUALS = ("keep", "recompute")
# Utterances. On a CPU a chunk's intermediates stay in the cache; elsewhere 32 tasks of 125 shots fit an H100.
CPU_CHUNK, CHUNK_ELSEWHERE = 20, 128


class Execution(NamedTuple):
    """Options; None takes the default.

    Attributes:
      over_tasks: "vmap" computes all tasks at once; "scan" one after another, which keeps one task's residuals at a
        time. Default: scan on a CPU, where they then stay in the cache; vmap elsewhere.
      chunk: utterances whose gradient is computed at once; larger sets are gone through in turn and averaged. 0: all.
        Only a loss that is marked as a mean over utterances (`mean_loss`, `cross_entropy`) may have chunks, which
        change its value by rounding alone. Default for such a loss: 20 on a CPU, 128 elsewhere; for others all.
      hvp: the Hessian-vector product of second order: "forward_over_reverse" differentiates the gradient forward (mixed
        mode); "reverse_over_reverse" lets jax.grad differentiate the whole inner loop, the textbook's way. Default:
        forward_over_reverse.
      residuals: what the Hessian-vector product finds again of the inner gradient: "keep" stores it, "recompute" runs
        it again from the parameters, so that memory grows with neither the inner steps nor the support set. Default:
        keep for one inner step on one chunk, recompute for more.
    """

    over_tasks: Literal["scan", "vmap"] | None = None
    chunk: int | None = None
    hvp: Literal["forward_over_reverse", "reverse_over_reverse"] | None = None
    residuals: Literal["keep", "recompute"] | None = None

    def checked(self, loss_fn: LossFn) -> "Execution":
        """Return these options for a loss; one that is not marked as a mean has no chunks.

        Raises:
          InputError: an unknown value; chunks for a loss that may not have them.
        """
        for name, choices in (("over_tasks", OVER_TASKS), ("hvp", HVP), ("residuals", RESIDUALS)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        if self.chunk is not None and self.chunk < 0:
            raise InputError(f"chunk: got {self.chunk}, expected 0 (all at once) or a number of utterances.")
        if isinstance(loss_fn, MeanLoss):
            return self
        if self.chunk:
            raise InputError(
                f"chunk: got {self.chunk} with a loss that is not marked as a mean over utterances, expected None or "
                "0. If each utterance's loss depends on that utterance alone, make the loss by metaser_jax.mean_loss."
            )
        return self._replace(chunk=0)

    def on(self, platform: str) -> "Execution":
        """Return these options with what depends on the platform, jax's name of it, filled in."""
        cpu = platform == "cpu"
        return self._replace(
            over_tasks=self.over_tasks or ("scan" if cpu else "vmap"),
            chunk=(CPU_CHUNK if cpu else CHUNK_ELSEWHERE) if self.chunk is None else self.chunk,
        )

    def resolve(self, inner_steps: int, utterances: int) -> "Execution":
        """Return these options, `on` a platform, with the other defaults filled in.

        Args:
          inner_steps: of the learner.
          utterances: of a task's inner step.
        """
        one_chunk = self.chunk == 0 or utterances <= (self.chunk or 0)
        return self._replace(
            hvp=self.hvp or "forward_over_reverse",
            residuals=self.residuals or ("keep" if inner_steps == 1 and one_chunk else "recompute"),
        )


AUTO = Execution()
"""Every option at its default."""


def on_its_platform(function: Callable[..., Any], execution: Execution, *args: Any) -> Any:
    """Return function(execution, *args), with the defaults of the platform that it is lowered for.

    Args:
      function: (execution, *args) -> pytree of arrays.
      execution: checked.
      args: pytrees of arrays.
    """
    cpu, elsewhere = execution.on("cpu"), execution.on("elsewhere")
    if cpu == elsewhere:
        return function(cpu, *args)
    return jax.lax.platform_dependent(
        *args, cpu=functools.partial(function, cpu), default=functools.partial(function, elsewhere)
    )
