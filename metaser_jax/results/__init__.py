"""Result rows: their schema, draws, summaries and comparisons."""
