"""The paper's Table 1: counts of the prepared corpora, beside those that their documentation states."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from metaser_jax import cli, datasets
from metaser_jax.data.splits import Split, split
from metaser_jax.datasets import Statistics
from metaser_jax.emotions import EMOTIONS, FOUR_EMOTIONS
from metaser_jax.errors import InputError
from metaser_jax.results.run_dir import csv_text

DIFFERS = "≠"


class Row(NamedTuple):
    """A corpus.

    Attributes:
      statistics: of all that is prepared of it.
      random, by_speaker: its splits, of the utterances of those of the four emotions that it has; None where there can
        be none.
      why_not: for what is None, the reason.
    """

    statistics: Statistics
    random: Split | None
    by_speaker: Split | None
    why_not: tuple[str, ...]

    def counts(self) -> dict[str, tuple[int, int | None]]:
        """Return utterances, speakers and each of the four emotions: (prepared, published or None)."""
        found, published = self.statistics, self.statistics.published
        prepared = {name: found.counts().get(name, 0) for name in FOUR_EMOTIONS}
        prepared = {"utterances": found.utterances, "speakers": found.speakers} | prepared
        if published is None:
            return {name: (number, None) for name, number in prepared.items()}
        stated = {"utterances": published.utterances, "speakers": published.speakers} | dict(published.emotions)
        return {name: (number, stated.get(name)) for name, number in prepared.items()}


def rows(data_dir: str, corpora: Sequence[str] = (), split_seed: int = 0) -> list[Row]:
    """Return a row per corpus, in the order given, or of all that are prepared, the paper's first.

    Raises:
      InputError: nothing is prepared, or not a corpus that was asked for.
    """
    names = corpora or datasets.prepared_names(data_dir)
    if not names:
        command = f"{cli.program('prepare')} --corpora=urdu --data_dir={data_dir}"
        raise InputError(f"--data_dir={data_dir} has no prepared corpus. Prepare some first: {command}")
    return [_row(datasets.known_name(name, "--corpora"), data_dir, split_seed) for name in names]


def _row(name: str, data_dir: str, split_seed: int) -> Row:
    statistics = datasets.load_statistics(name, data_dir)
    corpus = datasets.load(name, data_dir)
    # Where it lacks some of the four, its splits are of the others.
    selected = tuple(emotion for emotion in FOUR_EMOTIONS if emotion in statistics.counts())
    why_not: list[str] = []

    def parts(kind: str) -> Split | None:
        try:
            return split(corpus.select(selected if len(selected) > 1 else FOUR_EMOTIONS), kind, split_seed)
        except InputError as error:
            why_not.append(f"{kind}: {error}")
            return None

    return Row(statistics, parts("random"), parts("speaker"), tuple(why_not))


def markdown(table: Sequence[Row], data_dir: str, split_seed: int = 0) -> str:
    """Return the table for people, with what it means below."""
    head = ["corpus", "language", "utterances", "speakers", *FOUR_EMOTIONS, "other emotions", "hours", "mean seconds"]
    head += ["sampling rates", "random split", "split by speaker"]
    lines = [head, ["---"] * len(head)]
    notes = []
    for row in table:
        one = row.statistics
        others = ", ".join(f"{emotion} {n}" for emotion, n in one.counts().items() if emotion not in FOUR_EMOTIONS)
        rates = ", ".join(f"{rate / 1000:g} kHz ({n})" for rate, n in one.sample_rates.items())
        cells = [one.name, one.language, *(_beside(*pair) for pair in row.counts().values())]
        cells += [others or "-", f"{one.seconds / 3600:.2f}", _duration(one), rates + _published_rates(one)]
        cells += [_sizes(row.random), _sizes(row.by_speaker)]
        lines.append(cells)
        notes += [f"- {one.name}, {reason}" for reason in row.why_not]
        notes += [f"- {one.name}: {sign}" for sign in one.altered()]
        of_four = [emotion for emotion in FOUR_EMOTIONS if emotion in one.counts()]
        if row.random and len(of_four) < len(FOUR_EMOTIONS):
            notes.append(f"- {one.name}: its splits are of {', '.join(of_four)}, --emotions of other programs")
        left = {"skipped": one.skipped, "not part of the corpus": one.excluded, "dropped duplicates": one.dropped}
        notes += [f"- {one.name}: {len(files)} recordings {what}" for what, files in left.items() if files]
        notes += [f"- {one.name}: byte-identical are {' and '.join(files)}" for files in one.duplicates]
    missing = [name for name in datasets.PAPER if name not in {row.statistics.name for row in table}]
    text = [f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines]
    text += [
        "",
        f"Counts, mean seconds and sampling rates: prepared / as the corpus's documentation states; {DIFFERS} where "
        "they differ, as in a copy that was cut, padded or resampled, whose scores may not compare with published "
        f"ones. Splits: utterances of the four emotions in training / validation / test (split seed {split_seed}).",
        *([f"Of the paper's eight not prepared in {data_dir}: {', '.join(missing)}."] if missing else []),
        *(["", *notes] if notes else []),
    ]
    return "\n".join(text)


def _beside(prepared: int, published: int | None) -> str:
    if published is None:
        return str(prepared)
    return f"{prepared} / {published}" + (f" {DIFFERS}" if prepared != published else "")


def _duration(one: Statistics) -> str:
    if not one.published or one.published.mean_seconds is None:
        return f"{one.mean_seconds:.2f}"
    mark = "" if one.lasts_as_published() else f" {DIFFERS}"
    return f"{one.mean_seconds:.2f} / {one.published.mean_seconds:.2f}{mark}"


def _published_rates(one: Statistics) -> str:
    if not one.published or not one.other_rates():
        return ""
    return f" / {' or '.join(f'{rate / 1000:g}' for rate in one.published.sample_rates)} kHz {DIFFERS}"


def _sizes(parts: Split | None) -> str:
    return " / ".join(str(len(part)) for part in (parts.train, parts.valid, parts.test)) if parts else "not possible"


def comma_separated(table: Sequence[Row]) -> str:
    """Return the same for programs: a line per corpus; unknown values are empty."""
    return csv_text([_flat(row) for row in table]).rstrip("\n")


def _flat(row: Row) -> dict[str, Any]:
    one, published = row.statistics, row.statistics.published
    line: dict[str, Any] = {"corpus": one.name, "language": one.language}
    for name, (prepared, stated) in row.counts().items():
        line |= {name: prepared, f"{name}_published": stated}
    differs = [name for name, (n, m) in row.counts().items() if m not in (None, n)]
    differs += ["mean_seconds"] if not one.lasts_as_published() else []
    differs += ["sampling_rates"] if one.other_rates() else []
    line |= {"differs": " ".join(differs)}
    line |= {emotion: one.counts().get(emotion, 0) for emotion in EMOTIONS if emotion not in FOUR_EMOTIONS}
    line |= {
        "hours": round(one.seconds / 3600, 4),
        "mean_seconds": round(one.mean_seconds, 3),
        "mean_seconds_published": published and published.mean_seconds,
        "sampling_rates_published": " ".join(map(str, published.sample_rates)) if published else None,
        "altered": "; ".join(one.altered()),
        "sampling_rates": " ".join(f"{rate}:{n}" for rate, n in one.sample_rates.items()),
    }
    for kind, parts in (("random", row.random), ("speaker", row.by_speaker)):
        for part in ("train", "valid", "test"):
            line[f"{kind}_{part}"] = len(getattr(parts, part)) if parts else None
        line[f"{kind}_split_digest"] = parts.digest if parts else None
    line |= {"skipped": len(one.skipped), "not_part": len(one.excluded), "dropped": len(one.dropped)}
    return line | {"notes": "; ".join(row.why_not)}
