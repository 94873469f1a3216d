"""What a prepared corpus consists of, for people: counts per emotion, speakers, duration, what was left out and why."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.datasets.recordings import Left, by_reason
from metaser_jax.emotions import EMOTIONS


class Published(NamedTuple):
    """What the documentation of a corpus states.

    Attributes:
      utterances: number of utterances.
      speakers: number of speakers.
      emotions: utterances of our emotions, e.g. {"angry": 192}.
    """

    utterances: int
    speakers: int
    emotions: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Statistics:
    """One prepared corpus.

    Attributes:
      name: the corpus's name, e.g. "urdu".
      language: English name of the language.
      utterances: number of utterances.
      published: what the corpus's documentation states, if it does.
      speakers: number of speakers.
      emotions: (label, the corpus's own name of the emotion) -> utterances, in the order of emotions.EMOTIONS.
      seconds: sum of the durations.
      sample_rates: rate in Hz of the files -> utterances.
      skipped: recordings that could not be used (skip_bad).
      excluded: recordings of other parts of the corpus, e.g. songs.
      duplicates: groups of files with identical bytes; all that are not `dropped` are among the utterances.
      dropped: recordings left out because another is byte-identical (drop_duplicates).
      options: what was chosen when it was prepared (Options.of_content).
      notes: what is wrong with some of the recordings, see audio/quality.py; none of a corpus that was prepared before
        there were any.
    """

    name: str
    language: str
    utterances: int
    published: Published | None
    speakers: int
    emotions: dict[tuple[str, str], int]
    seconds: float
    sample_rates: dict[int, int]
    skipped: tuple[Left, ...]
    excluded: tuple[Left, ...]
    duplicates: tuple[tuple[str, ...], ...]
    dropped: tuple[Left, ...]
    options: dict[str, Any]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        language: str,
        published: Published | None,
        columns: Mapping[str, np.ndarray],
        metadata: Mapping[str, Sequence[Any]],
    ) -> "Statistics":
        """Compute them from what is on disk: the columns of the examples and the dataset's metadata."""
        counts = Counter(zip(columns["label"].tolist(), columns["emotion"].tolist(), strict=True))
        return cls(
            name=name,
            language=language,
            utterances=len(columns["label"]),
            published=published,
            speakers=len(set(columns["speaker"].tolist())),
            emotions={(EMOTIONS[label], own): counts[label, own] for label, own in sorted(counts)},
            seconds=float(columns["seconds"].sum(dtype=np.float64)),
            sample_rates=dict(sorted(Counter(columns["sample_rate"].tolist()).items())),
            skipped=tuple(Left(*left) for left in metadata["skipped"]),
            excluded=tuple(Left(*left) for left in metadata["excluded"]),
            duplicates=tuple(tuple(files) for files in metadata["duplicates"]),
            dropped=tuple(Left(*left) for left in metadata["dropped"]),
            options=dict(metadata["options"]),
            notes=tuple(metadata["notes"]),
        )

    def counts(self) -> dict[str, int]:
        """Return utterances of each of our emotions that occurs, in the order of emotions.EMOTIONS."""
        counts: Counter[str] = Counter()
        for (label, _), n in self.emotions.items():
            counts[label] += n
        return dict(counts)

    def report(self) -> str:
        """Return several lines of text."""
        complete = ""
        if self.published is not None and self.utterances != self.published.utterances:
            complete = f" of {self.published.utterances} published"
        rates = ", ".join(f"{rate:,} Hz ({n})" for rate, n in self.sample_rates.items())
        width = max(len(own) for _, own in self.emotions)
        lines = [
            f"{self.name} ({self.language}): {self.utterances} utterances{complete}, {self.speakers} speakers, "
            f"{self.seconds:,.0f} s ({self.seconds / 3600:.2f} h)",
            *(f"  {label:<10} {own:<{width}} {n:>6}" for (label, own), n in self.emotions.items()),
            f"  sampling rates: {rates}",
            *_lines("skipped", self.skipped),
            *_lines("not part of this corpus", self.excluded),
            f"  byte-identical recordings, {'the first of each' if self.dropped else 'all'} kept: "
            f"{len(self.duplicates) or 'none'}",
            *(f"    {' = '.join(files)}" for files in self.duplicates),
            *(f"  note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def _lines(title: str, left: Sequence[Left]) -> list[str]:
    """Return the files that were left out, grouped by reason."""
    return [f"  {title}: {len(left) or 'none'}", *(f"    {line}" for line in by_reason(left))]
