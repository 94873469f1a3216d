"""The sub-commands that use a model. The docstring of each is the head of its --help; each imports what it needs."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaser_jax.errors import InputError
from metaser_jax.messages import say

if TYPE_CHECKING:
    from metaser_jax.specs import commands as configs

# Processes that read uploads: the next file is read while one is slow, and memory stays bounded.
_READERS = 2


def adapt(config: configs.AdaptConfig, arguments: list[str]) -> None:
    """Adapt to a language with a few labelled clips of each emotion, and write a model folder.

    metaser adapt --support=clips --out=saraiki --language=Saraiki

    clips/ holds angry/ happy/ neutral/ sad/ with .wav, .flac, .mp3, .ogg and whatever else libsndfile reads; folders
    inside them are speakers. Or clips.csv with the columns path, emotion, and if known speaker. It warns of problems
    with the clips, then cross-validates, and says how much that score can prove.
    """
    from metaser_jax.adaptation.few_clips import check_out, run_adapt
    from metaser_jax.recogniser.folder import save_model
    from metaser_jax.training import parallel

    parallel.one_device_per_core()
    check_out(config.out)
    model = run_adapt(config)
    save_model(config.out, model)
    about = model.about
    clips = ", ".join(f"{n} {emotion}" for emotion, n in about["support"]["n_per_emotion"].items())
    print(f"Adapted to {sum(about['support']['n_per_emotion'].values())} clips: {clips}.")
    if about["cross_validation"] is None:
        print("An emotion has a single clip, so nothing could be held out: no score, and uncalibrated probabilities.")
    else:
        print(about["cross_validation"]["verdict"])
        if together := about["cross_validation"].get("together"):
            print(f"Labelled together, the clips of each part score {together['macro_f1']:.2f}.")
        print(about["calibration"]["verdict"])
    print(f"The model and its card are in {config.out}. Next: metaser predict --model={config.out} RECORDING ...")


def predict(config: configs.PredictConfig, arguments: list[str]) -> int:
    """Tell the emotion of recordings: a row for each, with calibrated probabilities.

    metaser predict --model=MODEL clip.wav folder/
    metaser predict --model=MODEL --format=csv --track interview.flac
    ffmpeg -i film.mp4 -f flac - | metaser predict --model=MODEL

    Unreadable files are listed on stderr; the rest are still printed, and the exit status is 1. What may make an answer
    wrong (a recording that is very short, cut off, of another scale ...) is noted on stderr, and in JSON.
    """
    from metaser_jax.commands.predict import predict_recordings

    return predict_recordings(config, arguments)


def evaluate(config: configs.EvaluateConfig, arguments: list[str]) -> None:
    """Score a model on labelled clips that it did not learn from.

    metaser evaluate --model=MODEL --support=clips

    The clips are laid out as for metaser adapt. Those that the model learned from are found, counted and not scored.
    """
    from metaser_jax.commands.evaluate import evaluate_clips

    evaluate_clips(config)


def info(config: configs.InfoConfig, arguments: list[str]) -> None:
    """Tell what a model was made of, the licences inside, what it scores, what it cannot do, its digest.

    metaser info MODEL

    MODEL is a folder that metaser adapt wrote, or a zip archive of it, as the page of metaser serve gives it.
    --format=json prints the content of its model.json. Its arrays are not read.
    """
    from metaser_jax.recogniser.card import content
    from metaser_jax.recogniser.model_files import open_model
    from metaser_jax.report.text_page import text_page

    _, facts = open_model(arguments[0])
    if config.format == "json":
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(text_page(content(facts)), end="")


def export(config: configs.ExportConfig, arguments: list[str]) -> None:
    """Export a model for other programs, or make a start of a run of training.

    metaser export --model=MODEL --to=stablehlo|npz --out=FILE
    metaser export --init=RUN --to=start --out=FOLDER

    stablehlo: one function of MFCC, or of statistics of the voice, for any number of utterances, with its parameters
    inside and FILE.json beside it; needs jax alone. npz: the arrays, for NumPy and everything that reads them. start:
    of a run of metaser meta-train or pretrain, a model folder that was adapted to no clips: metaser adapt
    --init=FOLDER starts from it, and metaser predict --model=FOLDER predicts with it. docs/model_folder.md describes
    them.
    """
    if config.model is None:
        from metaser_jax.adaptation.few_clips import check_out
        from metaser_jax.adaptation.starts import make_start
        from metaser_jax.commands import TRAINS
        from metaser_jax.extras import require_extras
        from metaser_jax.recogniser.folder import save_model

        require_extras("metaser export --to=start", *TRAINS)
        check_out(config.out)
        about = _read_about(config.about) if config.about else {}
        save_model(config.out, make_start(str(config.init), config.data_dir, about=about, calibrate=config.calibrate))
    else:
        from metaser_jax.recogniser.export import export_npz, export_stablehlo
        from metaser_jax.recogniser.predictor import Predictor

        model = Predictor.load(config.model).model
        if config.to == "npz":
            export_npz(model, config.out)
        else:
            export_stablehlo(model, config.out, config.platforms)
    print(config.out)


def _read_about(file: str) -> dict[str, Any]:
    try:
        about = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--about={file}: {error}, expected a JSON file with an object.") from error
    if not isinstance(about, dict):
        raise InputError(f"--about={file}: got a JSON {type(about).__name__}, expected an object.")
    return about


def import_torch(config: configs.ImportTorchConfig, arguments: list[str]) -> None:
    """Make a model folder of the authors' PyTorch checkpoint; needs no PyTorch, and runs no code from the file.

    metaser import-torch weights.pt --classes=angry,happy,neutral,sad --out=imported

    weights.pt is of torch.save(model.state_dict(), ...). --classes says which emotion each output is, in their order:
    the file does not, and a wrong order makes every answer wrong. The model predicts, and serves as --init of metaser
    adapt.
    """
    from metaser_jax.recogniser.folder import save_model
    from metaser_jax.recogniser.model import Model, Start
    from metaser_jax.recogniser.torch_checkpoint import read_checkpoint
    from metaser_jax.results.run_dir import versions
    from metaser_jax.specs import ModelSpec

    imported, file = read_checkpoint(arguments[0], config.classes), Path(arguments[0]).name
    about = {
        "name": Path(config.out).resolve().name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "init": {
            "method": f"imported from the PyTorch checkpoint {file}",
            "checkpoint": {"file": file, "sha256": imported.sha256, "classes": list(imported.classes)},
            "sources": [],
        },
        "limits": [
            f"Imported from {file} (sha256 {imported.sha256}) by somebody who said that its outputs are "
            f"{', '.join(imported.classes)}, in this order. The file does not tell; if it is wrong, so is every "
            "answer.",
            "What the checkpoint was trained on is not known here, nor whether its MFCC were made as they are here.",
        ],
    }
    # The other fields are the paper's: 120 frames of 20 MFCC as they are, the last state, no non-linearity.
    settings = ModelSpec(emotions=imported.emotions, hidden_dim=imported.hidden_dim)
    known = {"params": imported.params, "start": Start(imported.params, None), "about": about}
    save_model(config.out, Model(settings=settings, scale=None, temperature=1.0, support=None, **known))
    if imported.left:
        say(f"Not imported, because predicting needs none of it: {', '.join(imported.left)}.")
    print(
        f"Imported {arguments[0]}: {imported.hidden_dim} hidden units, {', '.join(imported.emotions)}; not "
        f"calibrated.\nThe model and its card are in {config.out}. Next: metaser adapt --init={config.out} "
        f"--support=CLIPS --out=MODEL, or metaser predict --model={config.out} RECORDING ..."
    )


def serve(config: configs.ServeConfig, arguments: list[str]) -> None:
    """Serve a page in the browser: record or drop clips, see emotions over time, correct, adapt again, download.

    metaser serve --model=MODEL

    The page is served at 127.0.0.1, which no other machine can reach; it needs no network and sends nothing anywhere.
    Its recordings are kept in memory, as features, until metaser serve ends (Ctrl-C).

    For a server elsewhere, bring its port here: ssh -L 8000:localhost:8000 SERVER, and open http://localhost:8000/; the
    browser lets a page use the microphone at localhost, or over https, alone.
    """
    from metaser_jax.serve.web import address_of, is_open_to_others, listen, serve

    # First, so that a port in use is said at once.
    with contextlib.closing(listen(config.host, config.port)) as listening:
        from metaser_jax.recogniser.card import note_of_start
        from metaser_jax.recogniser.predictor import Predictor
        from metaser_jax.serve.app import Limits, make_app
        from metaser_jax.serve.reading import Readers
        from metaser_jax.training import parallel

        predictor = Predictor.load(config.model)
        if bound := note_of_start(predictor.model.about):
            print(f"note: {config.model} is {bound}", file=sys.stderr)
        parallel.one_device_per_core()
        most = config.max_upload_mb * 2**20
        limits = Limits(max_upload=most, max_seconds=config.max_seconds, max_clips=config.max_clips)
        readers = Readers(_READERS, config.time_limit, config.max_seconds, features=predictor.features)
        app = make_app(predictor, Path(config.model).resolve().name, limits, readers, config.host)
        if is_open_to_others(listening):
            print(
                f"warning: --host={config.host} lets everyone who can reach this machine use the page, send recordings "
                "and adapt; there is no password and no encryption. --host=127.0.0.1 and ssh -L are safer.",
                file=sys.stderr,
            )
        print(f"Serving {config.model} at {address_of(listening)} (Ctrl-C ends it)", flush=True)
        serve(app, listening)
