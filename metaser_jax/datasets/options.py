"""What a user may choose about the preparation of a corpus."""

import dataclasses
from typing import Any

# What other corpora say themselves.
OF_FOLDER = ("language", "speaker_pattern")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every builder.

    Attributes:
      skip_bad: leave out recordings that cannot be used (they are counted and listed), instead of raising an error.
      drop_duplicates: keep the first of several byte-identical recordings; the others are counted and listed.
      language: English name of the language; for folder/NAME alone.
      speaker_pattern: regular expression that finds the speaker in a path; for folder/NAME alone.
      workers: processes that extract features; 0 takes one per core. The result does not depend on it.
    """

    skip_bad: bool = False
    drop_duplicates: bool = False
    language: str | None = None
    speaker_pattern: str | None = None
    workers: int = 0

    def of_content(self) -> dict[str, Any]:
        """Return the options that what is prepared depends on."""
        values = dataclasses.asdict(self)
        del values["workers"]
        return values
