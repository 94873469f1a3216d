"""Statistics of a prepared corpus for people: counts per emotion, speakers, duration, what was left out and why."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.datasets.recordings import Left, by_reason
from metaser_jax.emotions import EMOTIONS

# Published durations are rounded, and part of a corpus may speak a little longer than all of it; a copy that was cut or
# padded differs by more.
_TOLERANCE = 0.1
# So many recordings do not take the same time to the sample by chance.
_MANY = 10
PEOPLE = "vectors of {n} people's voices are inside (encoder {encoder}): they identify people; share them as such."
# Named in a report.
_SPEAKERS = 10


class Published(NamedTuple):
    """Numbers that the documentation of a corpus states.

    Attributes:
      utterances: number of utterances.
      speakers: number of speakers.
      emotions: utterances of our emotions, e.g. {"angry": 192}.
      mean_seconds: of an utterance; None: it is not known. ShEMO's and IEMOCAP's articles state it; of the others it
        is the hours that EmoBox (Ma et al., Interspeech 2024) counts.
      sample_rates: of the recordings in Hz; empty: not known.
    """

    utterances: int
    speakers: int
    emotions: Mapping[str, int]
    mean_seconds: float | None = None
    sample_rates: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class Statistics:
    """A prepared corpus.

    Attributes:
      name: the corpus's name, e.g. "urdu".
      language: English name of the language.
      utterances: number of utterances.
      published: what the corpus's documentation states, if it does.
      of_speaker: speaker -> utterances; UNKNOWN_SPEAKER where nobody wrote it down.
      emotions: (label, the corpus's own name of the emotion) -> utterances, in the order of emotions.EMOTIONS.
      seconds: sum of the durations.
      shortest, longest: recordings' durations in seconds.
      sample_rates: rate in Hz of the files -> utterances.
      skipped: recordings that could not be used (skip_bad).
      excluded: recordings of other parts of the corpus, e.g. songs.
      duplicates: groups of files with identical bytes; all that are not `dropped` are among the utterances.
      dropped: recordings left out because another is byte-identical (drop_duplicates).
      options: what was chosen when it was prepared (Options.of_content).
      encoder: digest of the speech encoder whose vectors of each recording are inside; None: none are.
      notes: what is wrong with some of the recordings, see audio/quality.py; none of a corpus that was prepared before
        there were any.
    """

    name: str
    language: str
    utterances: int
    published: Published | None
    of_speaker: dict[str, int]
    emotions: dict[tuple[str, str], int]
    seconds: float
    shortest: float
    longest: float
    sample_rates: dict[int, int]
    skipped: tuple[Left, ...]
    excluded: tuple[Left, ...]
    duplicates: tuple[tuple[str, ...], ...]
    dropped: tuple[Left, ...]
    options: dict[str, Any]
    notes: tuple[str, ...] = ()
    encoder: str | None = None

    @classmethod
    def of(
        cls,
        name: str,
        language: str,
        published: Published | None,
        columns: Mapping[str, np.ndarray],
        metadata: Mapping[str, Any],
    ) -> "Statistics":
        """Compute them from what is on disk: the columns of the examples and the dataset's metadata."""
        counts = Counter(zip(columns["label"].tolist(), columns["emotion"].tolist(), strict=True))
        left = {key: tuple(Left(*one) for one in metadata[key]) for key in ("skipped", "excluded", "dropped")}
        return cls(
            name=name,
            language=language,
            utterances=len(columns["label"]),
            published=published,
            of_speaker=dict(sorted(Counter(columns["speaker"].tolist()).items())),
            emotions={(EMOTIONS[label], own): counts[label, own] for label, own in sorted(counts)},
            seconds=float(columns["seconds"].sum(dtype=np.float64)),
            shortest=float(columns["seconds"].min()),
            longest=float(columns["seconds"].max()),
            sample_rates=dict(sorted(Counter(columns["sample_rate"].tolist()).items())),
            duplicates=tuple(tuple(files) for files in metadata["duplicates"]),
            options=dict(metadata["options"]),
            notes=tuple(metadata.get("notes", ())),
            encoder=metadata.get("encoder"),
            **left,
        )

    @property
    def speakers(self) -> int:
        """Number of speakers; those that nobody wrote down count as one."""
        return len(self.of_speaker)

    def counts(self) -> dict[str, int]:
        """Return utterances of each of our emotions that occurs, in the order of emotions.EMOTIONS."""
        counts: Counter[str] = Counter()
        for (label, _), n in self.emotions.items():
            counts[label] += n
        return dict(counts)

    @property
    def mean_seconds(self) -> float:
        """Duration of a recording, on average."""
        return self.seconds / self.utterances

    def lasts_as_published(self) -> bool:
        """Return whether recordings take as long as published, on average; True where that is not known."""
        known = self.published and self.published.mean_seconds
        return not known or abs(self.mean_seconds / known - 1) <= _TOLERANCE

    def other_rates(self) -> list[int]:
        """Return the sampling rates that are not among the published ones; none where those are not known."""
        known = self.published and self.published.sample_rates
        return [rate for rate in self.sample_rates if known and rate not in known]

    def altered(self) -> list[str]:
        """Return the signs that recordings were cut, padded or resampled since they were published."""
        signs, mean = [], f"a recording takes {self.mean_seconds:.2f} s on average"
        if self.published and not self.lasts_as_published():
            signs.append(f"{mean}, as published {self.published.mean_seconds:.2f} s")
        if self.utterances >= _MANY and self.shortest == self.longest:
            signs.append(f"every recording takes exactly {self.shortest:.3f} s")
        if self.published and self.other_rates():
            n = sum(self.sample_rates[rate] for rate in self.other_rates())
            rates = " or ".join(f"{rate:,} Hz" for rate in self.published.sample_rates)
            signs.append(f"{n} of {self.utterances} recordings are not at {rates}, as published")
        return signs

    def report(self) -> str:
        """Return several lines of text."""
        published = self.published.utterances if self.published else self.utterances
        complete = f" of {published} published" if self.utterances != published else ""
        rates = ", ".join(f"{rate:,} Hz ({n})" for rate, n in self.sample_rates.items())
        signs = self.altered()
        first = "the first of each" if self.options.get("drop_duplicates") else "all"
        width = max(len(own) for _, own in self.emotions)
        known = {name: n for name, n in self.of_speaker.items() if name != UNKNOWN_SPEAKER}
        who = f"{len(known)} speaker{'s' * (len(known) != 1)}" if known else "speakers not known"
        shown = ", ".join(f"{name} {n}" for name, n in list(known.items())[:_SPEAKERS])
        more = f" and {len(known) - _SPEAKERS} more" if len(known) > _SPEAKERS else ""
        lines = [
            f"{self.name} ({self.language}): {self.utterances} utterances{complete}, {who}, "
            f"{self.seconds:,.0f} s ({self.seconds / 3600:.2f} h)",
            *(f"  {label:<10} {own:<{width}} {n:>6}" for (label, own), n in self.emotions.items()),
            *([f"  speakers: {shown}{more}"] if known else []),
            f"  sampling rates: {rates}",
            f"  durations: {self.shortest:.2f} to {self.longest:.2f} s, {self.mean_seconds:.2f} s on average",
            f"  signs that recordings were cut, padded or resampled: {len(signs) or 'none'}",
            *(f"    {sign}" for sign in signs),
            *(["    Scores on them may not compare with published ones."] if signs and self.published else []),
            *_lines("skipped", self.skipped),
            *_lines("not part of this corpus", self.excluded),
            *(_lines("copies left out", self.dropped) if self.dropped else []),
            f"  byte-identical recordings, {first} kept: {len(self.duplicates) or 'none'}",
            *(f"    {' = '.join(files)}" for files in self.duplicates),
            *(f"  note: {note}" for note in self.notes),
            *([f"  {PEOPLE.format(n=self.speakers, encoder=self.encoder)}"] if self.encoder else []),
        ]
        return "\n".join(lines)


def _lines(title: str, left: Sequence[Left]) -> list[str]:
    """Return the files that were left out, grouped by reason."""
    return [f"  {title}: {len(left) or 'none'}", *(f"    {line}" for line in by_reason(left))]
