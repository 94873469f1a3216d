"""What a user may choose about the preparation of a corpus."""

import dataclasses
import json
from typing import Any

from metaser_jax.specs.labelling import Labelling

# What other corpora say themselves.
OF_FOLDER = ("language", *(field.name for field in dataclasses.fields(Labelling)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Labelling):
    """Options of every builder; those of Labelling are for folder/NAME alone.

    Attributes:
      skip_bad: leave out recordings that cannot be used (they are counted and listed), instead of raising an error.
      drop_duplicates: keep the first of several byte-identical recordings; the others are counted and listed.
      language: English name of the language; for folder/NAME alone.
      workers: processes that extract features; 0 takes one per core. The result does not depend on it.
    """

    skip_bad: bool = False
    drop_duplicates: bool = False
    language: str | None = None
    workers: int = 0

    def of_content(self) -> dict[str, Any]:
        """Return the options that what is prepared depends on, as they are read again from JSON."""
        values = dataclasses.asdict(self)
        del values["workers"]
        return json.loads(json.dumps(values))

    def given_of_folder(self) -> list[str]:
        """Return those of OF_FOLDER that are not their defaults."""
        fields = [field for field in dataclasses.fields(self) if field.name in OF_FOLDER]
        return [field.name for field in fields if getattr(self, field.name) != field.default]
