"""Prints the paper's Table 1 from the corpora that are prepared, beside the published counts.

python experiments/corpora.py --data_dir=data --format=markdown
"""

from metaser_jax import cli
from metaser_jax.config import CorporaConfig
from metaser_jax.runs import corpora


def main() -> None:
    config = cli.config(CorporaConfig)
    table = corpora.rows(config)
    print(corpora.comma_separated(table) if config.format == "csv" else corpora.markdown(table, config))


if __name__ == "__main__":
    cli.define(CorporaConfig)
    cli.run(main)
