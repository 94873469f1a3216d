"""What `metaser adapt` starts from: a start of the package, a run of training, or a model."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

from metaser_jax import cli
from metaser_jax.adaptation.joint import JOINT
from metaser_jax.adaptation.starts import SCRATCH, learner_facts, resolve
from metaser_jax.adaptation.svm import SVM
from metaser_jax.datasets.registry import terms
from metaser_jax.errors import InputError
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.model import Start, trained_settings
from metaser_jax.recogniser.model_files import MODEL, located, start_names
from metaser_jax.recogniser.model_json import FEATURES
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.results.run_dir import CONFIG, read_config
from metaser_jax.specs import FinetuneSpec, ModelSpec

_OF_SPEAKERS = ("auto", "corpus", "speaker")


class ClipStart(NamedTuple):
    """What an adaptation starts from.

    Attributes:
      start: parameters and rates.
      settings: whose normalise may still be "auto".
      about: the part `init` of Model.about.
      clips: that a model folder was adapted to; what it learned from them is not part of `start`.
    """

    start: Start
    settings: ModelSpec
    about: dict[str, Any]
    clips: int = 0


def read_start(init: str | os.PathLike[str], normalise: str, optimizer: str) -> ClipStart:
    """Read a start.

    Args:
      init: the folder.
      normalise: of AdaptConfig: "auto", "corpus" or "speaker".
      optimizer: that is to follow; "inner" wants a run whose inner rates are those of gradient descent.

    Raises:
      InputError: it is neither, or an unfinished run; a network that clips are not adapted to; a normalisation that it
        was not trained with.
    """
    init = os.fspath(init)
    place = located(init)
    if init in (SCRATCH, SVM, JOINT):
        raise InputError(
            f"--init={init}: a model for a new language starts from one that has learned from others. Give "
            f"{' or '.join(start_names())}, the --run_dir of {cli.program('meta-train')} or {cli.program('pretrain')}, "
            "or a model folder."
        )
    if (place / MODEL).exists():
        found = _of_model(place)
    elif (place / CONFIG).exists():
        found = _of_run(init, optimizer)
    else:
        what = f"has neither {CONFIG} nor {MODEL}" if Path(init).is_dir() else "is no folder"
        raise InputError(
            f"--init={init}: it {what}, expected {' or '.join(start_names())}, the --run_dir of "
            f"{cli.program('meta-train')} or {cli.program('pretrain')}, or a model folder of metaser adapt."
        )
    trained = found.settings.normalise
    if trained not in _OF_SPEAKERS and normalise != "auto":
        raise InputError(
            f"--normalise={normalise}: {init} was trained with normalise={trained}, which the clips then have as well. "
            "Leave the flag out."
        )
    wanted = trained if normalise == "auto" else normalise
    settings = dataclasses.replace(found.settings, normalise=wanted)
    return found._replace(settings=settings, about=found.about | {"normalise": wanted})


def _of_model(folder: Path) -> ClipStart:
    model = Predictor.load(folder).model
    about = dict(model.about.get("init") or {}) | {"model": digest(model)}
    counts = ((model.about.get("support") or {}).get("n_per_emotion") or {}).values()
    clips = sum(filter(None, counts)) if model.start is not None else 0
    return ClipStart(model.start or Start(model.params, None), trained_settings(model), about, clips)


def _of_run(run_dir: str, optimizer: str) -> ClipStart:
    spec, init = resolve(run_dir, FinetuneSpec(validation="none", optimizer=optimizer))
    if spec.features not in FEATURES:
        raise InputError(
            f"--init={run_dir}: it was trained with --network={spec.network} --features={spec.features}, expected lstm "
            "with mfcc, or perceptron with voice, which metaser adapt takes. Give another run."
        )
    saved = read_config(run_dir)
    digests = saved.get("corpus_digests", {})
    sources = [{"name": name, **terms(name), "digest": digests.get(name)} for name in init.source["sources"]]
    about = init.source | {"algorithm": saved.get("algorithm"), "sources": sources}
    learner = None if init.meta is None else learner_facts(init.meta)
    return ClipStart(Start(init.params, init.rates, learner), ModelSpec.of(spec), about)
