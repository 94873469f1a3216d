"""The recordings among a corpus's files, and what is known of each; nothing is left out without a word."""

import hashlib
import itertools
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import NamedTuple

from metaser_jax.audio.containers import CONVERTED, RECORDINGS, SUFFIXES, conversion
from metaser_jax.datasets.files import CorpusFile
from metaser_jax.errors import InputError

COPY = "a byte-identical copy of a recording that is read"
# Zip archives are read.
OTHER_ARCHIVE_SUFFIXES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip")
_MAX_LINES = 20
_MAX_FILES = 5
# As Windows, macOS and Linux call a copy.
_COPY_MARKS = (
    re.compile(r"(?:copy|kopie|copie|copia) (?:of|von|de|di) (?P<stem>.+)", re.IGNORECASE),
    re.compile(r"(?P<stem>.+?)(?: ?-? ?(?:copy|kopie|copie|copia))(?: ?\(?\d+\)?)?", re.IGNORECASE),
    re.compile(r"(?P<stem>.+?) ?\(\d+\)"),
)


class Parsed(NamedTuple):
    """Speaker and emotion of one recording.

    Attributes:
      speaker: unique within the corpus.
      emotion: the corpus's own name of it.
      label: ours, one of emotions.EMOTIONS.
      stem: the file name's stem as the corpus has it, where it is written otherwise.
    """

    speaker: str
    emotion: str
    label: str
    stem: str | None = None


class Excluded(NamedTuple):
    """A recording that by the corpus's documentation is not part of what we read, e.g. a song. Listed, not an error."""

    reason: str


class Unknown(NamedTuple):
    """A recording of which speaker or emotion cannot be told: an error, unless --skip_bad.

    Attributes: reason; no_emotion, whether it says no emotion that is known.
    """

    reason: str
    no_emotion: bool = False


Said = Parsed | Excluded | Unknown
Pairs = Sequence[tuple[CorpusFile, Said]]
"""Every audio file, and what is known of it."""


class Recording(NamedTuple):
    """A recording to read, and what is known of it.

    Attributes:
      source: where it is.
      file: its posix path below the folder that all recordings share, so that no wrapping folder makes a difference.
      key: unique in the corpus.
      parsed: speaker and emotion.
    """

    source: CorpusFile
    file: str
    key: str
    parsed: Parsed


class Left(NamedTuple):
    """A file that is left out, and why; a member of an archive as "ARCHIVE: MEMBER"."""

    file: str
    reason: str


class Listing(NamedTuple):
    """All audio files of a corpus, each in one of the first four, sorted by file.

    Attributes:
      recordings: those to read.
      excluded: those that are no part of the corpus.
      unknown: those of which speaker or emotion cannot be told.
      copies: those of which a byte-identical one is among the recordings.
      notes: sentences for the user.
      language: if a file says it.
    """

    recordings: tuple[Recording, ...]
    excluded: tuple[Left, ...]
    unknown: tuple[Left, ...]
    copies: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()
    language: str | None = None

    @property
    def left(self) -> list[Left]:
        """All that is left out."""
        return sorted([*self.excluded, *self.unknown, *self.copies])


def corpus_place(
    manual_dir: Path, name: str, layout: str, patterns: Sequence[str] = ()
) -> tuple[Path | None, list[Path]]:
    """Return where a corpus is below manual_dir: its folder, and its zip archives that lie directly in manual_dir.

    Args:
      manual_dir: the folder that the user names.
      name: of the corpus's folder or NAME.zip, in any case.
      layout: for the message, where a recording is expected.
      patterns: glob patterns of the names under which its archives are published.

    Raises:
      InputError: there is neither; the message says what is there and what was expected.
    """
    expected = f"Expected layout: {manual_dir / layout}"
    if not manual_dir.is_dir():
        what = "is a file" if manual_dir.exists() else "does not exist"
        raise InputError(f"--manual_dir: {manual_dir} {what}. {expected}")
    children = sorted(manual_dir.iterdir())
    folders = {child.name: child for child in children if child.is_dir()}
    alike = {loosely(folder): child for folder, child in folders.items()} | folders
    folder = alike.get(name) or alike.get(loosely(name))
    wanted = [f"{name}.zip", *patterns]
    files = [child for child in children if child.is_file()]
    archives = [file for file in files if any(fnmatch(file.name.lower(), pattern.lower()) for pattern in wanted)]
    if folder or archives:
        return folder, archives
    there = ", ".join([f"{folder}/" for folder in folders][:_MAX_LINES]) or "no folders"
    is_it = manual_dir.name.lower() == name.lower()
    hint = f" If {manual_dir} is the corpus itself, give --manual_dir={manual_dir.parent}." if is_it else ""
    raise InputError(
        f"{name}: --manual_dir={manual_dir} has no folder {name!r} and no archive {' or '.join(wanted)}; it has "
        f"{there}. {expected}{hint}"
    )


def loosely(name: str) -> str:
    """Return the name of a corpus or its folder as people vary it: EMO-DB is emodb."""
    return re.sub(r"[-_ ]", "", name).lower()


def documented(stem: str, pattern: str) -> re.Match[str] | None:
    """Return the match of a corpus's pattern with a stem as the corpus writes it; None: it is none of its names.

    Args: pattern: with the group `code`, and parts in a case of their own.
    """
    for one in dict.fromkeys([stem, without_copy_marks(stem)]):
        if match := re.fullmatch(pattern, one, re.ASCII) or _in_its_case(one, pattern):
            return match
    return None


def without_copy_marks(stem: str) -> str:
    """Return `X` of "Copy of X", "X - Copy", "X copy 2" and "X (1)"; otherwise the stem."""
    for mark in _COPY_MARKS:
        if match := mark.fullmatch(stem):
            return without_copy_marks(match["stem"])
    return stem


def _in_its_case(stem: str, pattern: str) -> re.Match[str] | None:
    """Return the match of the stem with its groups, and all else, in the case in which the pattern allows them."""
    loose = re.fullmatch(pattern, stem, re.ASCII | re.IGNORECASE)
    if loose is None:
        return None
    spans = sorted(loose.span(group) for group in loose.re.groupindex if loose[group] is not None)
    ends = [0, *itertools.chain.from_iterable(spans), len(stem)]
    parts = [stem[start:end] for start, end in itertools.pairwise(ends)]
    forms = [dict.fromkeys((part, part.upper(), part.lower(), part.capitalize())) for part in parts]
    written = (re.fullmatch(pattern, "".join(form), re.ASCII) for form in itertools.product(*forms))
    return next(filter(None, written), None)


def by_suffix(
    found: Iterable[CorpusFile], formats: Iterable[str], parse: Callable[[PurePath], Said]
) -> Iterator[tuple[CorpusFile, Said]]:
    """Yield every audio file and archive, and what `parse` knows of it by its path.

    Args: found: all that is there. formats: suffixes that are read; others of recordings are named as not read, but
      where they are no part of the corpus.
    """
    for one in found:
        suffix = one.relative.suffix.lower()
        if suffix in RECORDINGS:
            said = parse(one.relative)
            yield one, said if suffix in formats or isinstance(said, Excluded) else not_read(one, formats)
        elif suffix in OTHER_ARCHIVE_SUFFIXES:
            yield one, Excluded("an archive that is not read, unpack it")


def not_read(one: CorpusFile, formats: Iterable[str]) -> Unknown:
    """Return what is said of audio in another format."""
    suffix = one.relative.suffix
    # Where all that libsndfile reads is read.
    by_extra = set(formats) == set(SUFFIXES) and suffix.lower() in CONVERTED
    install = ", or pip install 'metaser_jax[formats]'" if by_extra else ""
    return Unknown(f"{suffix} is not read, expected {' or '.join(formats)}. {conversion(f'NAME{suffix}')}{install}")


def listing(place: str, pairs: Pairs, key: Callable[[PurePath, Parsed], str]) -> Listing:
    """Sort what a corpus says of its files; of byte-identical recordings with one key the first is kept.

    Args:
      place: where they are, for messages.
      pairs: every audio file and what is known of it.
      key: (its path, what is known) -> what no two recordings have in common.

    Raises:
      InputError: two recordings that differ have one key, in two formats, folders or archives.
    """
    pairs, copies = without_copies(pairs, lambda one, said: key(one.relative, said))
    known = [(source, said) for source, said in pairs if isinstance(said, Parsed)]
    shared = _shared_folder([source for source, _ in known])
    recordings = [
        Recording(source, source.file.removeprefix(shared), key(source.relative, said), said) for source, said in known
    ]
    recordings.sort(key=lambda recording: (recording.file, str(recording.source)))
    _check_unique(place, recordings)
    excluded, unknown = (
        tuple(sorted(Left(str(source), said.reason) for source, said in pairs if isinstance(said, kind)))
        for kind in (Excluded, Unknown)
    )
    return Listing(tuple(recordings), excluded, unknown, copies)


def without_copies(
    pairs: Pairs, alike: Callable[[CorpusFile, Parsed], Hashable]
) -> tuple[list[tuple[CorpusFile, Said]], tuple[Left, ...]]:
    """Return the pairs without recordings whose bytes are another's, and those; the least nested of each is kept.

    Args: alike: (file, what is known) -> what copies have in common; only such recordings are compared.
    """
    groups: dict[Hashable, list[tuple[CorpusFile, Parsed]]] = {}
    for one, said in pairs:
        if isinstance(said, Parsed):
            groups.setdefault((alike(one, said), one.size), []).append((one, said))
    copies: list[CorpusFile] = []
    for group in groups.values():
        group.sort(key=lambda pair: (pair[1].stem is not None, len(pair[0].relative.parts), pair[0].file, str(pair[0])))
        kept: set[bytes] = set()
        for one, _ in group if len(group) > 1 else ():
            try:
                digest = hashlib.sha256(one.read_bytes()).digest()
            except OSError:  # reading it as a recording says so
                continue
            if digest in kept:
                copies.append(one)
            kept.add(digest)
    dropped = {id(one) for one in copies}
    left = tuple(sorted(Left(str(one), COPY) for one in copies))
    return [pair for pair in pairs if id(pair[0]) not in dropped], left


def _shared_folder(sources: Sequence[CorpusFile]) -> str:
    """Return the folder that all are in, as "a/b/", or ""."""
    try:
        shared = posixpath.commonpath({source.relative.parent.as_posix() for source in sources})
    except ValueError:  # none at all, or some from the root of the disk
        return ""
    return f"{shared}/" if shared not in ("", ".", "/") else ""


def _check_unique(place: str, recordings: Sequence[Recording]) -> None:
    first: dict[str, CorpusFile] = {}
    twice: dict[tuple[str, str], list[str]] = {}
    for recording in recordings:
        other = first.setdefault(recording.key, recording.source)
        if other is not recording.source:
            folders = (_folder(other), _folder(recording.source))
            twice.setdefault(folders, []).append(f"{other} and {recording.source}")
    if twice:
        lines = [f"  in {one} and in {two}, {len(names)} times, e.g. {names[0]}" for (one, two), names in twice.items()]
        raise InputError(
            f"{place}: the same speaker and file name twice, and the recordings differ:\n{_shortened(lines)}\n"
            "Keep one of each and move the other out of the folder."
        )


def _folder(source: CorpusFile) -> str:
    folder = posixpath.dirname(source.member or source.file)
    return f"{source.path.name}: {folder}/" if source.member else f"{folder or '.'}/"


def require(
    listing: Listing, name: str, place: str, layout: str, files: Sequence[CorpusFile], skip_bad: bool, advice: str = ""
) -> None:
    """Check that there are recordings, and unless `skip_bad` that all can be used.

    Args:
      listing: of the place.
      name, place, layout: for messages: the corpus, where it is, and where a recording is expected.
      files: all that is there.
      skip_bad: whether recordings of which speaker or emotion cannot be told are left out.
      advice: what else would help.

    Raises:
      InputError: it is not so.
    """
    if listing.unknown and not skip_bad:
        raise bad_recordings(name, listing.unknown, len(listing.recordings) + len(listing.unknown), advice)
    if not listing.recordings:
        suffixes = Counter(one.relative.suffix.lower() or one.relative.name for one in files)
        found = ", ".join(f"{n} {suffix}" for suffix, n in suffixes.most_common(5)) or "no files"
        reasons = "; ".join(sorted({one.reason for one in listing.left}))
        left = f" (left out: {reasons})" if reasons else ""
        raise InputError(f"{place} has no recording that is read; found {found}{left}. Expected layout: {layout}")


def bad_recordings(name: str, bad: Sequence[Left], n_files: int, advice: str = "") -> InputError:
    """Return the one error for all recordings of a corpus that cannot be used; `advice`: what else would help."""
    listed = _shortened([f"  {line}" for line in by_reason(bad)])
    if len(bad) < n_files or not advice:
        advice = f"Replace or remove them, or leave them out with --skip_bad. {advice}".rstrip()
    return InputError(f"{name}: {len(bad)} of {n_files} recordings cannot be used:\n{listed}\n{advice}")


def by_reason(left: Iterable[Left]) -> list[str]:
    """Return one line per reason: "FILE, FILE and N more: REASON"."""
    files_of: dict[str, list[str]] = {}
    for one in sorted(left, key=lambda one: (one.reason, one.file)):
        files_of.setdefault(one.reason, []).append(one.file)
    lines = []
    for reason, files in files_of.items():
        more = f" and {len(files) - _MAX_FILES} more" if len(files) > _MAX_FILES else ""
        lines.append(f"{', '.join(files[:_MAX_FILES])}{more}: {reason}")
    return lines


def _shortened(lines: Sequence[str]) -> str:
    more = [f"  ... and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return "\n".join([*lines[:_MAX_LINES], *more])
