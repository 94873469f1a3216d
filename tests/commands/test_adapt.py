"""metaser adapt: from folders of clips to a model folder, and what it says of bad ones."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
import soundfile
from fakes import fake_model, says_vectors

from metaser_jax import InputError
from metaser_jax.audio.clips import read_clip, voice_of
from metaser_jax.commands.evaluate import evaluate_clips
from metaser_jax.commands.models import adapt, info
from metaser_jax.commands.predict import predict_recordings
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.recogniser.folder import load_model, save_model
from metaser_jax.recogniser.predictor import Predictor
from metaser_jax.specs.commands import AdaptConfig, EvaluateConfig, InfoConfig, PredictConfig

RATE = 16_000


def write_clip(path, emotion, seed, seconds=1.2, gain=0.3):
    """A hum whose pitch is the emotion, with noise, so that no two clips are the same."""
    rng = np.random.default_rng([FOUR_EMOTIONS.index(emotion), seed])
    time = np.arange(int(seconds * RATE)) / RATE
    sound = np.sin(2 * np.pi * (150 + 200 * FOUR_EMOTIONS.index(emotion)) * time) + 0.1 * rng.normal(size=len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, gain * sound, RATE)


def write_start(folder, shrink, **settings):
    """A model folder to start from, with small parameters, so that a few steps do not diverge."""
    model = fake_model(hidden_dim=3, **settings)
    rates = jax.tree.map(lambda p: p / 4, model.start.rates)
    start = model.start._replace(params=jax.tree.map(lambda p: p / shrink, model.start.params), rates=rates)
    save_model(folder, dataclasses.replace(model, start=start))
    return str(folder)


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    for emotion, i in itertools.product(FOUR_EMOTIONS, range(3)):
        write_clip(folder / emotion / f"{i}.wav", emotion, i)
    return folder


@pytest.fixture
def run(tmp_path, clips):
    """run(**flags) -> the model that metaser adapt writes, to out_1, out_2 ..."""
    init, number = write_start(tmp_path / "init", 4, normalise="corpus"), itertools.count(1)

    def run(**flags):
        out = str(tmp_path / f"out_{next(number)}")
        flags = {"init": init, "support": str(clips), "out": out, "max_epochs": 2, "repeats": 1} | flags
        adapt(AdaptConfig(**flags), [])
        return load_model(flags["out"])

    return run


def same_params(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_a_model_folder_that_says_what_it_is_made_of(run, tmp_path, capsys):
    model = run(language="Esperanto", licence="CC0")
    about, said = model.about, capsys.readouterr()
    assert len(model.support) == about["cross_validation"]["n"] == 12
    assert (about["language"], about["support"]["licence"]) == ("Esperanto", "CC0")
    assert about["init"]["model"], "the model that it started from"
    assert "Adapted to 12 clips: 3 angry, 3 happy, 3 neutral, 3 sad." in said.out
    assert about["cross_validation"]["verdict"] in said.out
    assert about["calibration"]["verdict"] in said.out
    assert "warning: " in said.err, "nobody knows the speakers"
    assert "Macro F1" in (tmp_path / "out_1" / "README.md").read_text()
    assert str(tmp_path) not in (tmp_path / "out_1" / "model.json").read_text(), "no path of this machine"
    # What a model folder learned is not learned again.
    first = str(tmp_path / "out_1")
    same_params(run(init=first), model)
    assert f"note: {first} was adapted to 12 clips. This adaptation starts where that" in capsys.readouterr().err


def test_the_same_clips_from_a_csv_are_the_same_model(run, clips, tmp_path):
    lines = [f"clips/{path.relative_to(clips)},{path.parent.name}" for path in sorted(clips.rglob("*.wav"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,emotion", *lines]) + "\n")
    same_params(run(), run(support=str(tmp_path / "list.csv")))


def test_one_clip_each_and_none_in_the_model(run, clips, capsys):
    for path in clips.rglob("[12].wav"):
        path.unlink()
    model = run(keep_clips=False)
    assert "no score, and uncalibrated probabilities" in capsys.readouterr().out
    assert (model.support, model.about["calibration"]) == (None, None)
    assert model.about["support"]["n_per_emotion"]["sad"] == 1


def test_bad_clips_are_all_named_or_left_out_and_listed(run, clips, tmp_path, capsys, without_formats):
    (clips / "sad" / "broken.wav").write_bytes(b"RIFF and nothing")
    soundfile.write(clips / "happy" / "mute.wav", np.zeros(RATE), RATE)
    for name in ("phone.wav", "other.wav"):
        (clips / "sad" / name).write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(InputError, match=r"4 of 16 recordings cannot be used(.|\n)*silence") as error:
        run()
    convert = "Convert it, e.g. with ffmpeg -i NAME.wav NAME_converted.wav"
    for text in ("sad/broken.wav", "sad/other.wav, sad/phone.wav: this is MPEG-4 sound", convert):
        assert text in str(error.value)
    assert not (tmp_path / "out_1").exists()
    model = run(skip_bad=True)
    assert "left out: happy/mute.wav: digital silence" in capsys.readouterr().err
    assert len(model.support) == 12
    left_out = {"sad/broken.wav", "happy/mute.wav", "sad/phone.wav", "sad/other.wav"}
    assert {one["file"] for one in model.about["left_out"]} == left_out


def test_unlabelled_recordings_normalise(run, tmp_path, capsys):
    more = tmp_path / "more"
    for i in range(3):
        write_clip(more / f"{i}.wav", "sad", 10 + i, gain=0.01)
    write_clip(more / "again.wav", "angry", 0)  # one of the clips: it must not count twice
    (more / "broken.wav").write_bytes(b"RIFF and nothing")
    with pytest.raises(InputError, match="1 of 5 recordings cannot be used"):
        run(unlabelled=str(more))
    capsys.readouterr()
    one, other = run(), run(unlabelled=str(more), skip_bad=True)
    assert "broken.wav" in capsys.readouterr().err, "nothing is dropped without a word"
    assert other.about["support"]["unlabelled"] == 3
    assert other.scale.mean[0] < one.scale.mean[0] - 1, "the quiet ones pull the level down"


def test_unlabelled_recordings_of_a_voice_normalise_it(run, clips, tmp_path):
    for path in sorted(clips.rglob("*.wav")):
        (path.parent / "ana").mkdir(exist_ok=True)
        path.rename(path.parent / "ana" / path.name)
    init = write_start(tmp_path / "voice", 8, features="voice", normalise="speaker")
    for name in ("ana", "bo"):
        write_clip(tmp_path / name / name / "1.wav", "sad", 20, gain=0.01)
    made = [
        run(init=init, speakers="folders", unlabelled=more)
        for more in (None, str(tmp_path / "bo"), str(tmp_path / "ana"))
    ]
    none, other, own = (model.labelled.total for model in made)
    # Another voice moves what all are shrunk to, a little.
    assert np.abs(own - none).mean() > 2 * np.abs(other - none).mean()


def test_a_voice_model_from_clips_to_predictions(run, clips, tmp_path, capsys):
    for path in clips.rglob("*.wav"):
        path.rename(path.with_name(f"s{path.stem}_{path.parent.name}.wav"))
    write_clip(clips / "sad" / "s0_long.wav", "sad", 9, seconds=6)
    how = {"speaker_pattern": r"s\d", "normalise": "speaker", "max_epochs": 120}
    made = run(init=write_start(tmp_path / "voice", 8, features="voice", normalise="corpus"), **how)
    assert "still speaks after" not in capsys.readouterr().err, "all of it is heard"
    assert (made.settings.normalise, made.about["cross_validation"]["by"]) == ("speaker", "speaker")
    together = made.about["cross_validation"]["together"]
    assert together["difference"] == pytest.approx(together["macro_f1"] - made.about["cross_validation"]["macro_f1"])
    assert f"macro F1 is {together['macro_f1']:.3f}" in " ".join((tmp_path / "out_1" / "README.md").read_text().split())
    assert set(made.support.speaker) == {"s0", "s1", "s2"}
    files = sorted(clips.rglob("*.wav"))
    given = [read_clip(path) for path in files]
    np.testing.assert_array_equal(made.support.voice, [voice_of(clip) for clip in given])
    got = Predictor(made).predict_clips(given, speakers=[path.name[:2] for path in files])
    assert np.mean([one.label == path.parent.name for one, path in zip(got, files, strict=True)]) > 0.7


def test_warnings_come_before_the_training(run, capsys):
    with pytest.raises(InputError, match="diverged"):
        run(optimizer="adam", lr=1e30)
    assert "warning: It is not known who speaks" in capsys.readouterr().err


def test_bad_input_before_any_work(run, clips, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    utterance = write_start(tmp_path / "utterance", 1, normalise="utterance")
    for flags, said in (
        ({"normalise": "speaker"}, "normalise=speaker: of"),
        ({"init": "scratch"}, r"^--init=scratch: "),
        ({"init": str(clips)}, f"^--init={clips}: it has neither config.json nor model.json"),
        ({"init": str(clips / "no")}, f"^--init={clips}/no: it is no folder"),
        ({"out": str(tmp_path / "full")}, "is there already, expected a new or an empty folder"),
        ({"init": utterance, "normalise": "corpus"}, "--normalise=corpus: .* utterance"),
        ({"init": utterance, "unlabelled": str(clips)}, "--unlabelled=.* utterance"),
    ):
        with pytest.raises(InputError, match=said):
            run(**flags)
    for path in clips.glob("[hns]*/*"):
        path.unlink()
    with pytest.raises(InputError, match="Got clips of angry, expected two emotions or more"):
        run()


@pytest.fixture
def heard(run, clips, tmp_path):
    """heard(**flags): as `run`, from a start that hears with an encoder, with clips of three people."""
    for path in clips.rglob("*.wav"):
        path.rename(path.with_name(f"ana{path.stem}_{path.parent.name}.wav"))
    init = write_start(tmp_path / "encoder", 8, features="encoder", normalise="speaker", clips=0)
    return lambda **flags: run(init=init, speaker_pattern=r"ana\d", **flags)


def test_vectors_of_people_are_kept_only_where_that_was_said(heard, tmp_path):
    nothing = heard()
    assert (nothing.support, (tmp_path / "out_1" / "support.npz").exists()) == (None, False)
    assert (nothing.labelled.count.tolist(), nothing.about["support"]["speakers"]) == ([3] * 4, 3)
    assert "Inside are those of no clip and of 0 people" in " ".join(
        (tmp_path / "out_1" / "README.md").read_text().split()
    )
    kept = {"keep_clips": True}
    clips = heard(**kept).support
    assert (set(clips.speaker), clips.file[0], clips.vectors.shape) == ({"unknown"}, "1", (12, 3, 256))
    assert "ana" not in (tmp_path / "out_2" / "support.npz").read_bytes().decode("latin-1")
    assert set(heard(**kept, keep_voices=True).support.speaker) == {"1", "2", "3"}
    named = heard(**kept, keep_voices=True, keep_names=True).support
    assert (set(named.speaker), named.file[0]) == ({"ana0", "ana1", "ana2"}, "angry/ana0_angry.wav")
    for flags, said in (({"keep_voices": True}, "--keep_voices: got True, expected it beside --keep_clips"),):
        with pytest.raises(InputError, match=said):
            heard(**flags)
    with pytest.raises(InputError, match="--keep_names: got True, expected it beside --keep_voices"):
        heard(**kept, keep_names=True)


def test_no_number_of_a_vector_is_said_anywhere(heard, clips, tmp_path, capsys):
    model = heard(keep_clips=True, keep_voices=True, keep_names=True)
    out = str(tmp_path / "out_1")
    evaluate_clips(EvaluateConfig(model=str(tmp_path / "encoder"), support=str(clips), format="json"))
    for format in ("json", "csv", "table"):
        predict_recordings(PredictConfig(model=out, format=format, speakers="one", track=True), [str(clips)])
    for format in ("json", "text"):
        info(InfoConfig(format=format), [out])
    vectors, printed = model.support.vectors, "".join(capsys.readouterr())
    assert says_vectors(" ".join(map(str, vectors[3].ravel()[5:700])), vectors), "what is looked for is found"
    for text in (printed, *(path.read_text() for path in (tmp_path / "out_1").glob("*.[jm]*"))):
        assert not says_vectors(text, vectors)
