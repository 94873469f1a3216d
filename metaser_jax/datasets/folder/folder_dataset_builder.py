"""A corpus of one's own: a folder with a folder per emotion, or a CSV. See README.md and corpus.toml."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from metaser_jax.datasets.base import CorpusBuilder, CorpusFile, Said
from metaser_jax.datasets.files import files_below, one_form
from metaser_jax.datasets.labelled_files import TABLES, Rules
from metaser_jax.datasets.recordings import Listing
from metaser_jax.datasets.registry import Options
from metaser_jax.emotions import EMOTIONS
from metaser_jax.errors import InputError


class Builder(CorpusBuilder):
    """folder/NAME: manual_dir/NAME/EMOTION/*.wav, manual_dir/NAME/labels.csv or manual_dir/NAME.csv."""

    EMOTION_OF_CODE: ClassVar = {emotion: (emotion, emotion) for emotion in EMOTIONS}
    LABELLED_BY_USER = True

    def __init__(self, *, config: str | tfds.core.BuilderConfig, options: Options | None = None, **kwargs: Any):
        """Make the builder. Args: config: NAME; others: CorpusBuilder's."""
        if isinstance(config, str):
            config = tfds.core.BuilderConfig(name=config, description=f"The recordings of {config}.")
        super().__init__(config=config, options=options, **kwargs)
        self.place = self.builder_config.name
        self._rules = Rules(self.place, self.options)

    def listing(self, manual_dir: Path) -> Listing:
        """List the recordings, from a CSV beside the folder where there is one."""
        wanted = [f"{self.place}{suffix}".lower() for suffix in TABLES]
        tables = [path for path in manual_dir.glob("*") if path.name.lower() in wanted and path.is_file()]
        if not tables:
            return super().listing(manual_dir)
        # Its paths are seen from manual_dir, so the files of the folder are, too.
        found = [CorpusFile(path.name, path, None, path.stat().st_size) for path in sorted(tables)]
        folder = manual_dir / self.place
        if folder.is_dir():
            found += [one._replace(file=one_form(f"{self.place}/{one.file}")) for one in files_below(folder)]
        return self.listing_of(found, " and ".join(map(str, tables)))

    def unchecked(self, found: Sequence[CorpusFile], place: str) -> Listing:
        """Return what is known of all files of a place, which messages name.

        Raises InputError: --language contradicts a table; as Rules.listing.
        """
        listing = self._rules.listing(place, found)
        if listing.language and self.options.language not in (None, listing.language):
            raise InputError(
                f"--language={self.options.language!r}, but {place} says {listing.language!r}. Leave the flag out, or "
                "correct the column language."
            )
        return listing

    def parse(self, path: PurePath, code_of_stem: Mapping[str, str] | None = None) -> Said:
        """Return what a path says by itself."""
        return self._rules.parse(path)
