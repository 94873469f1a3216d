"""No clips of the target: what a trained network says of it, and where that is not defined."""

import jax
import numpy as np
import pytest
from small_runs import adapt, load_target

from metaser_jax import InputError
from metaser_jax.adaptation.starts import Init
from metaser_jax.models.classifier import make_network
from metaser_jax.results.outcomes import Amount

NONE = Amount("shots", 0)


@pytest.fixture
def config(finetune_config):
    of_voice = {"network": "perceptron", "features": "voice", "normalise": "speaker", "members": 2}
    return finetune_config(split="speaker", folds=2, hidden_dim=3, validation="none", **of_voice)


@pytest.fixture
def init(config):
    x = np.zeros((1, config.rows, config.coefs), np.float32)
    return Init(make_network(config).init(jax.random.key(3), x), {"method": "metaser"})


def test_the_networks_own_predictions(config, init):
    folds = load_target(config)
    outcomes = adapt(config, [init], folds, [NONE, Amount("shots", 2)])
    for got, fold in zip(outcomes[::4], folds, strict=True):
        x = fold.as_input(config.front_end).corpus.mfcc[fold.split.test]
        np.testing.assert_array_equal(got.predicted, make_network(config).apply(init.params, x).argmax(-1))
        assert (got.row["shots"], got.row["n_train"], got.row["epochs"]) == (0, 0, 0)


def test_random_parameters_say_nothing(config):
    with pytest.raises(InputError, match="shots=0: got random parameters"):
        adapt(config, [Init(None, {"method": "scratch"})], load_target(config), [NONE])


def test_nothing_to_hold_out_or_to_normalise_by(finetune_config):
    for changes, message in (
        ({"validation": "draw"}, "--validation=draw: got --shots=0"),
        ({"validation": "none", "normalise": "corpus", "normalise_by": "drawn"}, "--normalise_by=drawn: got --shots=0"),
    ):
        config = finetune_config(hidden_dim=3, **changes)
        params = make_network(config).init(jax.random.key(0), np.zeros((1, 10, 20), np.float32))
        with pytest.raises(InputError, match=message):
            adapt(config, [Init(params, {"method": "metaser"})], load_target(config), [NONE])


@pytest.mark.parametrize("init", ["scratch", "svm"])
def test_programs_refuse_it_before_any_work(finetune_config, init):
    with pytest.raises(InputError, match=f"--init: got '{init}', expected a trained run with --shots=0"):
        finetune_config(init=init, shots=0)
