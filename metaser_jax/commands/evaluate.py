"""metaser evaluate: the scores of a model on labelled clips that it did not learn from."""

import csv
import json
from collections.abc import Sequence

import numpy as np

from metaser_jax.adaptation.clip_warnings import one_emotion_speakers, read_labelled
from metaser_jax.audio.quality import notes_of_all
from metaser_jax.commands.score_page import score_page
from metaser_jax.data.corpus import UNKNOWN_SPEAKER
from metaser_jax.data.together import voices_of
from metaser_jax.datasets.recordings import Recording
from metaser_jax.errors import InputError
from metaser_jax.messages import say
from metaser_jax.recogniser.card import note_of_start
from metaser_jax.recogniser.evaluation import Predicted, evaluate, kinds_of, learned_from
from metaser_jax.recogniser.folder import digest
from metaser_jax.recogniser.predictor import Prediction, Predictor
from metaser_jax.report.text_page import text_page
from metaser_jax.specs.commands import EvaluateConfig


def evaluate_clips(config: EvaluateConfig) -> None:
    """Print the scores. Raises InputError: clips or a model that cannot be used, or no clip to score."""
    predictor = Predictor.load(config.model)
    model = predictor.model
    if bound := note_of_start(model.about):
        say(f"note: {config.model} is {bound}")
    listed, clips, left_out = read_labelled(config, model.settings)
    files = listed.recordings
    notes = notes_of_all(clips, [file.file for file in files])
    for note in notes:
        say(f"note: {note}")
    # Those that it learned from, too: they tell how their speaker sounds.
    speakers = [file.parsed.speaker for file in files]
    beside = predictor.predict_together(clips, speakers, windows=config.windows)
    predictions = beside.alone
    if config.together == "on" and beside.found is None:
        raise InputError(f"--together=on: {beside.why_off}. Leave it out, or say whose the clips are (--speakers).")
    label = np.array([predictor.emotions.index(file.parsed.label) for file in files])
    if predictor.voice and model.settings.normalise == "speaker":
        _say_one_emotion(label, np.array(speakers), len(predictor.emotions))
    predicted = Predicted(label, _probabilities(predictions), np.array(speakers))
    learned = learned_from(clips, model.support)
    if learned.all():
        got = f"{config.support}: the model has learned from all of its {len(learned)} clips"
        raise InputError(f"{got}, expected others. The cross-validated score is in metaser info.")
    scored = predicted.take(~learned)
    facts = {
        "model": config.model,
        "digest": digest(model),
        "support": config.support,
        "windows": config.windows,
        "emotions": list(predictor.emotions),
        "learned_from": int(learned.sum()) if model.support is not None else None,
        "left": [left._asdict() for left in left_out],
        "notes": notes,
        **evaluate(scored, kinds_of(scored.speaker, model.support), predictor.emotions),
        "together": None,
    }
    if config.together != "off" and beside.found is not None:
        of = predicted._replace(probabilities=_probabilities(beside.predictions)).take(~learned)
        voices = voices_of(beside.found, predictor.emotions)
        facts["together"] = {
            "why_off": beside.why_off,
            "voices": [voice._asdict() for voice in voices.values()],
            **evaluate(of, kinds_of(of.speaker, model.support), predictor.emotions),
        }
    if config.format == "json":
        print(json.dumps(facts, ensure_ascii=False))
    else:
        print(text_page(score_page(facts)), end="")
    if config.out is not None:
        together = beside.predictions if facts["together"] else None
        _write_csv(config.out, predictor.emotions, files, predictions, together, learned)


def _probabilities(predictions: Sequence[Prediction]) -> np.ndarray:
    return np.array([prediction.probabilities for prediction in predictions])


def _say_one_emotion(label: np.ndarray, speaker: np.ndarray, emotions: int) -> None:
    known = speaker != UNKNOWN_SPEAKER
    if known.any() and (says := one_emotion_speakers(label[known], speaker[known], emotions)) is not None:
        say(
            f"note: {says[0]} of the {says[1]} speakers with several clips say one emotion only. This model "
            "hears each voice beside its other recordings, which takes that emotion away: the score is of no use for "
            "voices that say several. --speakers=unknown hears each clip by itself."
        )


def _write_csv(
    out: str,
    emotions: Sequence[str],
    files: Sequence[Recording],
    predictions: Sequence[Prediction],
    together: Sequence[Prediction] | None,
    learned: np.ndarray,
) -> None:
    columns = ["file", "speaker", "emotion", "predicted", *emotions, "start", "end", "learned_from"]
    try:
        with open(out, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow([*columns, *["predicted_together"] * (together is not None)])
            for i, (one, said, known) in enumerate(zip(files, predictions, learned, strict=True)):
                shares = [f"{p:.6f}" for p in said.probabilities]
                span = [f"{said.start:.3f}", f"{said.end:.3f}"]
                row = [one.file, one.parsed.speaker, one.parsed.label, said.label, *shares, *span, int(known)]
                rows.writerow([*row, *([together[i].label] if together else [])])
    except OSError as error:
        raise InputError(f"--out: {out} cannot be written ({error.strerror}). Give another file.") from error
    say(f"Predictions of {len(files)} clips: {out}")
