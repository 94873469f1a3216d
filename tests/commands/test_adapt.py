"""metaser adapt: from folders of clips to a model folder, and what it says of bad ones."""

import dataclasses

import jax
import numpy as np
import pytest
import soundfile
from fakes import fake_model

from metaser_jax import InputError
from metaser_jax.audio.clips import read_clip, voice_of
from metaser_jax.commands.models import adapt
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.folder import load_model, save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.specs.commands import AdaptConfig

RATE = 16_000


def write_clip(path, emotion, seed, seconds=1.2, gain=0.3):
    """A hum whose pitch is the emotion, with noise, so that no two clips are the same."""
    rng = np.random.default_rng([FOUR_EMOTIONS.index(emotion), seed])
    time = np.arange(int(seconds * RATE)) / RATE
    sound = np.sin(2 * np.pi * (150 + 200 * FOUR_EMOTIONS.index(emotion)) * time) + 0.1 * rng.normal(size=len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, gain * sound, RATE)


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    for emotion in FOUR_EMOTIONS:
        for i in range(3):
            write_clip(folder / emotion / f"{i}.wav", emotion, i)
    return folder


@pytest.fixture
def init(tmp_path):
    """A model folder to start from, with small parameters, so that a few steps do not diverge."""
    model = fake_model(hidden_dim=3, normalise="corpus")
    small = model.start._replace(
        params=jax.tree.map(lambda p: p / 4, model.start.params), rates=jax.tree.map(lambda p: p / 4, model.start.rates)
    )
    save_model(tmp_path / "init", dataclasses.replace(model, start=small))
    return str(tmp_path / "init")


@pytest.fixture
def config(tmp_path, clips, init):
    def make(**changes):
        values = {"init": init, "support": str(clips), "out": str(tmp_path / "out"), "max_epochs": 2, "repeats": 1}
        return AdaptConfig(**values | changes)

    return make


def test_a_model_folder_that_says_what_it_is_made_of(config, tmp_path, capsys):
    adapt(config(language="Esperanto", licence="CC0"), [])
    model = load_model(tmp_path / "out")
    assert len(model.support) == 12
    assert model.about["language"] == "Esperanto"
    assert model.about["support"]["licence"] == "CC0"
    assert model.about["init"]["model"], "the model that it started from"
    assert model.about["cross_validation"]["n"] == 12
    said = capsys.readouterr()
    assert "Adapted to 12 clips: 3 angry, 3 happy, 3 neutral, 3 sad." in said.out
    assert "Macro F1" in said.out
    assert model.about["calibration"]["verdict"] in said.out
    assert "warning: " in said.err, "nobody knows the speakers"
    assert "Macro F1" in (tmp_path / "out" / "README.md").read_text()
    assert str(tmp_path) not in (tmp_path / "out" / "model.json").read_text(), "no path of this machine"


def test_the_same_clips_from_a_csv_are_the_same_model(config, clips, tmp_path):
    adapt(config(), [])
    lines = [f"clips/{path.relative_to(clips)},{path.parent.name}" for path in sorted(clips.rglob("*.wav"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,emotion", *lines]) + "\n")
    adapt(config(support=str(tmp_path / "list.csv"), out=str(tmp_path / "second")), [])
    one, other = load_model(tmp_path / "out"), load_model(tmp_path / "second")
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_one_clip_each_and_none_in_the_model(config, clips, tmp_path, capsys):
    for path in clips.rglob("[12].wav"):
        path.unlink()
    adapt(config(keep_clips=False), [])
    assert "no score, and uncalibrated probabilities" in capsys.readouterr().out
    model = load_model(tmp_path / "out")
    assert (model.support, model.about["calibration"]) == (None, None)
    assert model.about["support"]["n_per_emotion"]["sad"] == 1


def test_bad_clips_are_all_named_or_left_out_and_listed(config, clips, tmp_path, capsys, without_formats):
    (clips / "sad" / "broken.wav").write_bytes(b"RIFF and nothing")
    soundfile.write(clips / "happy" / "mute.wav", np.zeros(RATE), RATE)
    for name in ("phone.wav", "other.wav"):
        (clips / "sad" / name).write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(InputError, match=r"4 of 16 recordings cannot be used(.|\n)*silence") as error:
        adapt(config(), [])
    assert "sad/broken.wav" in str(error.value)
    assert "sad/other.wav, sad/phone.wav: this is MPEG-4 sound" in str(error.value)
    assert "Convert it, e.g. with ffmpeg -i NAME.wav NAME_converted.wav" in str(error.value)
    assert not (tmp_path / "out").exists()
    adapt(config(skip_bad=True), [])
    assert "left out: happy/mute.wav: digital silence" in capsys.readouterr().err
    model = load_model(tmp_path / "out")
    assert len(model.support) == 12
    left_out = {"sad/broken.wav", "happy/mute.wav", "sad/phone.wav", "sad/other.wav"}
    assert {one["file"] for one in model.about["left_out"]} == left_out


def test_unlabelled_recordings_normalise(config, tmp_path, capsys):
    for i in range(3):
        write_clip(tmp_path / "more" / f"{i}.wav", "sad", 10 + i, gain=0.01)
    write_clip(tmp_path / "more" / "again.wav", "angry", 0)  # one of the clips: it must not count twice
    adapt(config(), [])
    adapt(config(unlabelled=str(tmp_path / "more"), out=str(tmp_path / "second")), [])
    one, other = load_model(tmp_path / "out"), load_model(tmp_path / "second")
    assert other.about["support"]["unlabelled"] == 3
    assert other.scale.mean[0] < one.scale.mean[0] - 1, "the quiet ones pull the level down"
    (tmp_path / "more" / "broken.wav").write_bytes(b"RIFF and nothing")
    with pytest.raises(InputError, match="1 of 5 recordings cannot be used"):
        adapt(config(unlabelled=str(tmp_path / "more"), out=str(tmp_path / "third")), [])
    capsys.readouterr()
    adapt(config(unlabelled=str(tmp_path / "more"), out=str(tmp_path / "third"), skip_bad=True), [])
    assert "broken.wav" in capsys.readouterr().err, "nothing is dropped without a word"


def test_speakers_who_say_all_emotions_are_normalised_apart(config, clips, tmp_path):
    for path in clips.rglob("*.wav"):
        path.rename(path.with_name(f"s{path.stem}_{path.parent.name}.wav"))
    adapt(config(speaker_pattern=r"s\d", normalise="speaker"), [])
    model = load_model(tmp_path / "out")
    assert model.settings.normalise == "speaker"
    assert set(model.support.speaker) == {"s0", "s1", "s2"}
    assert model.about["cross_validation"]["by"] == "speaker"


def test_a_voice_model_from_clips_to_predictions(config, clips, tmp_path, capsys):
    model = fake_model(hidden_dim=3, features="voice", normalise="corpus")
    small = jax.tree.map(lambda p: p / 8, model.start.params)
    save_model(tmp_path / "voice", dataclasses.replace(model, start=model.start._replace(params=small)))
    for path in clips.rglob("*.wav"):
        path.rename(path.with_name(f"s{path.stem}_{path.parent.name}.wav"))
    write_clip(clips / "sad" / "s0_long.wav", "sad", 9, seconds=6)
    how = {"init": str(tmp_path / "voice"), "speaker_pattern": r"s\d", "normalise": "speaker", "max_epochs": 30}
    adapt(config(**how), [])
    made = load_model(tmp_path / "out")
    assert "still speaks after" not in capsys.readouterr().err, "all of it is heard"
    assert made.support.voice.shape == (13, 171)
    assert made.about["cross_validation"]["by"] == "speaker"
    files = sorted(clips.rglob("*.wav"))
    given = [read_clip(path) for path in files]
    np.testing.assert_array_equal(made.support.voice, [voice_of(clip) for clip in given])
    got = Predictor(made).predict_clips(given, speakers=[path.name[:2] for path in files])
    assert np.mean([one.label == path.parent.name for one, path in zip(got, files, strict=True)]) > 0.7
    adapt(config(**how | {"init": str(tmp_path / "out"), "out": str(tmp_path / "again")}), [])
    jax.tree.map(np.testing.assert_array_equal, load_model(tmp_path / "again").params, made.params)


def test_warnings_come_before_the_training(config, clips, capsys):
    with pytest.raises(InputError, match="diverged"):
        adapt(config(optimizer="adam", lr=1e30), [])
    assert "warning: It is not known who speaks" in capsys.readouterr().err


def test_what_a_model_folder_learned_is_not_learned_again_and_it_says_so(config, clips, tmp_path, capsys):
    adapt(config(), [])
    first = str(tmp_path / "out")
    capsys.readouterr()
    adapt(config(init=first, out=str(tmp_path / "second")), [])
    assert f"note: {first} was adapted to 12 clips. This adaptation starts where that" in capsys.readouterr().err
    one, other = load_model(first), load_model(tmp_path / "second")
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_bad_input_before_any_work(config, clips, tmp_path):
    with pytest.raises(InputError, match="normalise=speaker: of"):
        adapt(config(normalise="speaker"), [])
    with pytest.raises(InputError, match=r"^--init=scratch: "):
        adapt(config(init="scratch"), [])
    for init, found in ((clips, "it has neither config.json nor model.json"), (clips / "no", "it is no folder")):
        with pytest.raises(InputError, match=f"^--init={init}: .*{found}"):
            adapt(config(init=str(init)), [])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already, expected a new or an empty folder"):
        adapt(config(out=str(tmp_path / "full")), [])
    for emotion in FOUR_EMOTIONS[1:]:
        for path in (clips / emotion).iterdir():
            path.unlink()
    with pytest.raises(InputError, match="Got clips of angry, expected two emotions or more"):
        adapt(config(), [])


def test_a_normalisation_that_the_start_was_not_trained_with(config, tmp_path):
    model = fake_model(hidden_dim=3, normalise="utterance")
    save_model(tmp_path / "utterance", model)
    for changes in ({"normalise": "corpus"}, {"unlabelled": config().support}):
        with pytest.raises(InputError, match="utterance"):
            adapt(config(init=str(tmp_path / "utterance"), **changes), [])
