"""The examples in the public docstrings run, in the order in which they refer to each other."""

import doctest

import metaser_jax

IN_ORDER = ("maml", "anil", "meta_sgd", "layer_rates", "reptile", "supervised")
WITH_A_LAST_LAYER = ("proto_maml", "cautious_proto_maml", "r2d2", "cross_entropy", "mean_loss")


def test_examples():
    for names in (IN_ORDER, WITH_A_LAST_LAYER):
        known = {}
        for name in names:
            (example,) = doctest.DocTestFinder(recurse=False).find(getattr(metaser_jax, name), name, globs=known)
            assert example.examples, name
            found = doctest.DocTestRunner().run(example, clear_globs=False)
            assert not found.failed, name
            known = example.globs
