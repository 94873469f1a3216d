"""A sweep's table for a terminal."""

from metaser_jax.studies.sweep import text_of


def test_a_row_per_setting():
    lines = [
        {
            "setting": {"meta_lr": rate},
            "chosen": rate == 0.1,
            "train_seeds": [0, 1],
            "stopped_seeds": [],
            "valid_query_loss": 0.5,
            "valid_query_loss_deviation": 0.01,
        }
        for rate in (0.1, 0.2)
    ]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text_of(lines).splitlines()]
    assert cells[0] == ["meta_lr", "training seeds", "validation loss on the sources"]
    assert cells[2:] == [["0.1", "2", "0.500 ± 0.010 (chosen)"], ["0.2", "2", "0.500 ± 0.010"]]
