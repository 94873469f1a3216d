"""metaser evaluate: what is scored, what is not, and how it is told."""

import csv
import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
import soundfile
from fakes import fake_model

from metaser_jax import InputError
from metaser_jax.adaptation.few_clips import corpus_of
from metaser_jax.audio.clips import read_clip
from metaser_jax.commands.evaluate import evaluate_clips
from metaser_jax.commands.score_page import score_page
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.evaluation import HEARD, NEW, Predicted
from metaser_jax.recogniser.evaluation import evaluate as evaluated
from metaser_jax.recogniser.folder import save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.report.text_page import text_page
from metaser_jax.specs.commands import EvaluateConfig


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three speakers with a clip of each emotion; a model that learned from the first one's angry and happy clip."""
    folder, random = tmp_path_factory.mktemp("evaluate"), np.random.default_rng(0)
    for speaker, emotion in itertools.product("abc", FOUR_EMOTIONS):
        path = folder / "clips" / emotion / speaker / "1.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, random.normal(size=8000) / 10, 16000)
    known = [folder / "clips" / emotion / "a" / "1.wav" for emotion in ("angry", "happy")]
    support = corpus_of([read_clip(path) for path in known], [0, 1], ["a", "a"], ["x.wav", "y.wav"], FOUR_EMOTIONS)
    model = dataclasses.replace(fake_model(temperature=60.0), support=support)
    save_model(folder / "model", model)
    save_model(folder / "no_clips", dataclasses.replace(model, support=None))
    for path in known:
        again = folder / "known" / path.parts[-3] / "1.flac"
        again.parent.mkdir(parents=True)
        soundfile.write(again, *soundfile.read(path))  # other bytes, the same sound
    return folder


@pytest.fixture
def run(place, monkeypatch, capsys):
    """run(**flags) -> stdout, stderr; in the folder of the clips."""
    monkeypatch.chdir(place)

    def run(model="model", support="clips", **flags):
        evaluate_clips(EvaluateConfig(model=model, support=support, **flags))
        return capsys.readouterr()

    return run


def flat(text):
    return " ".join(text.split())


def test_clips_that_it_learned_from_are_left_out_and_counted(run, place):
    found = json.loads(run(format="json").out)
    assert (found["n"], found["learned_from"], found["emotions"]) == (10, 2, list(FOUR_EMOTIONS))
    assert {kind: of["n"] for kind, of in found["by_speakers"].items()} == {HEARD: 2, NEW: 8}
    predictor, learned = Predictor.load(place / "model"), (("a", "angry"), ("a", "happy"))
    right = [
        predictor.predict_file(place / "clips" / emotion / speaker / "1.wav").label == emotion
        for speaker, emotion in itertools.product("abc", FOUR_EMOTIONS)
        if (speaker, emotion) not in learned
    ]
    assert found["accuracy"] == pytest.approx(np.mean(right))
    # A model without its clips cannot know.
    assert "The model was saved without its clips" in run(model="no_clips").out
    found = json.loads(run(model="no_clips", format="json").out)
    assert (found["n"], found["learned_from"]) == (12, None)
    with pytest.raises(InputError, match="known: the model has learned from all of its 2 clips"):
        run(support="known")


def test_a_page_for_people(run):
    said = flat(run().out)
    for text in (
        "10 clips scored. 2 clips left out, because the model has learned from them.",
        "With so few clips",
        "over 10 clips of 3 speakers",
        "that takes clips of 6 speakers or more",
        'Write: "Macro F1 was',
        "(95 % interval over these clips: ",
        ') on 10 clips of 3 speakers, 2 of the clips by speakers that the model had learned from."',
        "Do not write that",
    ):
        assert text in said


def test_the_sentence_for_a_paper_over_speakers():
    speaker = np.repeat(list("abcdef"), 8)
    label = np.tile(np.arange(4), 12)
    said = np.where(np.arange(48) % 5 == 0, 0, label)
    found = evaluated(Predicted(label, np.eye(4)[said], speaker), np.full(48, NEW), FOUR_EMOTIONS)
    facts = {"model": "m", "digest": "d", "support": "s", "emotions": FOUR_EMOTIONS, "learned_from": 0, "left": []}
    out = flat(text_page(score_page({**facts, **found})))
    (low, high), clips = found["over_speakers"], found["over_clips"]
    assert f"give, it is {clips[0]:.2f} to {clips[1]:.2f}" in out
    value = f"Macro F1 was {found['macro_f1']:.2f}"
    assert f'"{value} (95 % interval over 6 speakers: {low:.2f} to {high:.2f}) on 48 clips of 6 speakers."' in out
    assert "Do not write" not in out


def test_what_was_predicted_as_csv(run, tmp_path):
    assert "Predictions of 12 clips" in run(out=str(tmp_path / "p.csv")).err
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert [row["file"] for row in rows if row["learned_from"] == "1"] == ["angry/a/1.wav", "happy/a/1.wav"]
    for row in rows:
        assert row["file"] == f"{row['emotion']}/{row['speaker']}/1.wav"
        shares = {emotion: float(row[emotion]) for emotion in FOUR_EMOTIONS}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == max(shares, key=shares.get)
    with pytest.raises(InputError, match=r"--out: .* cannot be written"):
        run(out=str(tmp_path / "nowhere" / "p.csv"))


def test_a_clip_that_cannot_be_used(run, place, tmp_path):
    clips = tmp_path / "clips"
    shutil.copytree(place / "clips", clips)
    (clips / "sad" / "c" / "bad.wav").write_bytes(b"no audio at all")
    with pytest.raises(InputError, match=r"(?s)1 of 13 recordings cannot be used:.*--skip_bad"):
        run(support=str(clips))
    out, err = run(support=str(clips), skip_bad=True)
    assert "left out: sad/c/bad.wav: this is not audio" in err
    assert "1 clip left out for other reasons" in flat(out)


def test_an_emotion_without_clips_is_said(run, place, tmp_path):
    (tmp_path / "angry").mkdir()
    (tmp_path / "angry" / "1.wav").write_bytes((place / "clips" / "angry" / "b" / "1.wav").read_bytes())
    out = flat(run(support=str(tmp_path)).out)
    assert "No clip is happy or neutral or sad: macro F1 and UAR count that as 0, so that they cannot exceed 1/4" in out
    assert "of a single clip there is no interval" in out


def test_voices_of_one_emotion_are_told(run, tmp_path):
    save_model(tmp_path / "voice", fake_model(features="voice", normalise="speaker", temperature=60.0))
    random = np.random.default_rng(1)
    for emotion, clip in itertools.product(FOUR_EMOTIONS, "12"):
        path = tmp_path / "single" / emotion / f"says_{emotion}" / f"{clip}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, random.normal(size=8000) / 10, 16000)
    of = {"model": str(tmp_path / "voice"), "support": str(tmp_path / "single"), "format": "json"}
    told, alone = run(**of), run(**of, speakers="unknown")
    assert "note: 4 of the 4 speakers with several clips say one emotion only" in told.err
    assert "say one emotion only" not in alone.err
    assert json.loads(told.out)["calibration"] != json.loads(alone.out)["calibration"]


def test_both_scores_are_said_one_by_one_first(run, place, tmp_path):
    """Each voice has four clips, of each emotion one."""
    save_model(tmp_path / "voice", fake_model(features="voice", normalise="speaker", temperature=60.0))
    of = {"model": str(tmp_path / "voice"), "out": str(tmp_path / "p.csv")}
    alone, found = (json.loads(run(**of, format="json", together=how).out) for how in ("off", "auto"))
    together = found.pop("together")
    assert (alone.pop("together"), found) == (None, alone)
    assert [(voice["name"], voice["clips"], voice["doubts"][0]) for voice in together["voices"]] == [
        (name, 4, "few, under 8") for name in "abc"
    ]
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    for name, scored in (("predicted", found), ("predicted_together", together)):
        assert np.mean([row[name] == row["emotion"] for row in rows]) == pytest.approx(scored["accuracy"])
    assert together["calibration"] != found["calibration"]
    out = run(**of).out
    first, second = out.index("Scores\n"), out.index("One by one, and labelled together")
    assert first < second
    assert f"{found['macro_f1']:.2f}" in out[first:second]
    assert f"{together['macro_f1']:.2f}" in out[second:]
    assert "To be doubted of voices a (few, under 8" in flat(out)
    with pytest.raises(InputError, match="--together=on: the model does not normalise by speaker"):
        run(together="on")
