"""How a meta-gradient is computed, which changes its speed and memory and not its value: named options, with defaults.

The defaults were measured on a CPU (experiments/benchmarks/README.md). Those of other backends were not.
"""

from typing import Literal, NamedTuple

import jax

from metaser_jax.errors import InputError, check_choice

OVER_TASKS = ("scan", "vmap")
HVP = ("forward_over_reverse", "reverse_over_reverse")
RESIDUALS = ("keep", "recompute")
CPU_CHUNK = 20


class Execution(NamedTuple):
    """Options; None takes the backend's default.

    Attributes:
      over_tasks: "vmap" computes all tasks at once; "scan" one after another, which keeps one task's residuals at a
        time. Default: scan on a CPU, where they then stay in the cache; vmap elsewhere.
      chunk: utterances whose gradient is computed at once; larger sets are gone through in turn and averaged. 0: all.
        Default: 20 on a CPU, all elsewhere.
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

    def check(self) -> None:
        """Raise an InputError for an unknown value."""
        for name, choices in (("over_tasks", OVER_TASKS), ("hvp", HVP), ("residuals", RESIDUALS)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), choices)
        if self.chunk is not None and self.chunk < 0:
            raise InputError(f"chunk: got {self.chunk}, expected 0 (all at once) or a number of utterances.")

    def resolve(self, inner_steps: int, utterances: int) -> "Execution":
        """Return these options with the defaults filled in.

        Args:
          inner_steps: of the learner.
          utterances: of a task's inner step.
        """
        cpu = jax.default_backend() == "cpu"
        chunk = (CPU_CHUNK if cpu else 0) if self.chunk is None else self.chunk
        default = Execution(
            over_tasks="scan" if cpu else "vmap",
            chunk=chunk,
            hvp="forward_over_reverse",
            residuals="keep" if inner_steps == 1 and (chunk == 0 or utterances <= chunk) else "recompute",
        )
        return Execution(*(d if given is None else given for given, d in zip(self, default, strict=True)))  # pyright: ignore[reportArgumentType]


AUTO = Execution()
"""Every option at its default."""
