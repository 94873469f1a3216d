"""A server of a small model whose adaptations are quick, and a new page at it."""

import dataclasses
import threading

import pytest
from fakes import fake_model
from served import OTHER, Page, serving


@pytest.fixture(scope="module")
def model():
    return fake_model(normalise="utterance")


class Learner:
    """Instead of an adaptation: another model, that predicts otherwise. Attributes: given, by the last call; may, what
    it waits for; fails, what it raises."""

    def __init__(self):
        self.given, self.fails = None, None
        self.may = threading.Event()
        self.may.set()

    def __call__(self, model, support, progress):
        self.given = model, support
        progress(1, 3)
        assert self.may.wait(30)
        progress(2, 3)
        if self.fails:
            raise self.fails
        scored = {"macro_f1": 0.5, "interval": [0.25, 0.75], "by": "speaker", "verdict": "It proves nothing."}
        return dataclasses.replace(model, params=OTHER, about=model.about | {"cross_validation": scored})


@pytest.fixture(scope="module")
def learner():
    return Learner()


@pytest.fixture(scope="module")
def port(model, learner):
    with serving(model, learn=learner) as port:
        yield port


@pytest.fixture
def page(port, learner):
    learner.fails = None
    learner.may.set()
    return Page(port)
