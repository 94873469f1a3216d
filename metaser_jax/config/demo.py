"""The demo."""

import dataclasses

from metaser_jax.specs.base import Spec, option, require


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoConfig(Spec):
    """metaser demo."""

    out: str = option(
        "Folder for the recordings, the prepared corpora, the runs and the report.", "runs/demo", common=True, short="o"
    )
    shots: tuple[int, ...] = option("Clips per emotion to adapt with, separated by commas.", (1, 5, 20), common=True)
    seeds: int = option("Repetitions of each adaptation, each with its own draw of clips.", 3, common=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(shots >= 1 for shots in self.shots) and self.shots, "shots", self.shots, "numbers from 1 on")
        self._require_one_or_more("seeds")
