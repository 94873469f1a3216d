"""Print the paper's Table 1 from the corpora that are prepared, beside the published counts.

metaser corpora --data_dir=data --format=markdown
"""

from collections.abc import Sequence

from metaser_jax.specs.programs import CorporaConfig
from metaser_jax.studies import corpora_table as corpora


def main(config: CorporaConfig, arguments: Sequence[str]) -> None:
    """Print it."""
    table = corpora.rows(config.data_dir, config.corpora, config.split_seed)
    as_text = corpora.markdown(table, config.data_dir, config.split_seed)
    print(corpora.comma_separated(table) if config.format == "csv" else as_text)
