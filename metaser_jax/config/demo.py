"""The demo."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig(Spec):
    """experiments/demo.py."""

    out: str = option("Folder for the recordings, the prepared corpora, the runs and the report.", "runs/demo")
    shots: tuple[int, ...] = option("Clips per emotion to adapt with, separated by commas.", (1, 5, 20))
    seeds: int = option("Repetitions of each adaptation, each with its own draw of clips.", 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(shots >= 1 for shots in self.shots) and self.shots, "shots", self.shots, "numbers from 1 on")
        self._require_one_or_more("seeds")
