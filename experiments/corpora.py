"""Prints the paper's Table 1 from the corpora that are prepared, beside the published counts.

python experiments/corpora.py --data_dir=data --format=markdown
"""

from metaser_jax.config import CorporaConfig, flags


def main() -> None:
    config = flags.config(CorporaConfig)
    # Imported here: after a look at what was typed.
    from metaser_jax.studies import corpora_table as corpora

    table = corpora.rows(config.data_dir, config.corpora, config.split_seed)
    as_text = corpora.markdown(table, config.data_dir, config.split_seed)
    print(corpora.comma_separated(table) if config.format == "csv" else as_text)


if __name__ == "__main__":
    flags.define(CorporaConfig)
    flags.run(main)
