"""What the functions of a study share: what it is, where things are, how each method is trained."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from metaser_jax.datasets.targets import Corpora
from metaser_jax.specs.studies import StudySpec

SpecT = TypeVar("SpecT", bound=StudySpec)


class Settings(NamedTuple):
    """How methods are trained, before the study's own changes: values of the fields of their specifications.

    Attributes:
      meta_train: of MetaTrainSpec. pretrain: of PretrainSpec, for TransSER and MultiSER.
      finetune: of FinetuneSpec, for MetaSER. baseline: the same for the other networks.
      starts_from: the method whose run meta-training starts from; None: random parameters.
      of_method: method -> what is changed for it alone, of "learn" (the first two) and of "adapt" (the others).
    """

    meta_train: Mapping[str, Any]
    pretrain: Mapping[str, Any]
    finetune: Mapping[str, Any]
    baseline: Mapping[str, Any]
    of_method: Mapping[str, Mapping[str, Mapping[str, Any]]] = {}
    starts_from: str | None = None

    def changes(self, method: str, what: str) -> Mapping[str, Any]:
        """Return what is changed for a method, of "learn" or of "adapt"."""
        return self.of_method.get(method, {}).get(what, {})


@dataclasses.dataclass(frozen=True)
class Study(Generic[SpecT]):
    """A study.

    Attributes:
      spec: what it compares, and how often.
      settings: how methods are trained.
      data_dir: folder of prepared corpora.
      out: the study's folder. runs: that of its pre-training runs.
      corpora: where prepared corpora come from.
    """

    spec: SpecT
    settings: Settings
    data_dir: str
    out: Path
    runs: Path
    corpora: Corpora
