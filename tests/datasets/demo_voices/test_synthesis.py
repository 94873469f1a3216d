"""The demo corpora: their files and bytes, what is reused, and the ctypes driver of the voices."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from metaser_jax.datasets.demo_voices import SOURCES, recipe, synthesis, synthesise
from metaser_jax.datasets.demo_voices.espeak import Engine, Voice
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError

SMALL = {"languages": ("urdu", "persian"), "speakers": 2, "per_speaker": 3, "workers": 1, "progress": False}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    """Two small corpora; tests do not change them."""
    folder = tmp_path_factory.mktemp("demo")
    assert synthesise(folder, **SMALL) == ["demo_urdu", "demo_persian"]
    return folder


def _digests(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


def test_files(corpora):
    names = sorted(path.name for path in (corpora / "demo_persian").glob("*.wav"))
    assert names == sorted(f"{s}_{e}_{n:02d}.wav" for s in ("f1", "m1") for e in FOUR_EMOTIONS for n in range(3))
    assert sorted(path.name for path in corpora.iterdir()) == ["demo_persian", "demo_urdu"]
    clips = list(corpora.rglob("*.wav"))
    for path in clips:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
        assert 1.2 <= info.duration <= 2.5
        samples, _ = soundfile.read(path, dtype="float64")
        assert np.abs(samples).max() <= 0.951
        assert np.sqrt(np.mean(samples**2)) > 0.002
    assert len({path.read_bytes() for path in clips}) == len(clips)
    before = {path: path.stat().st_mtime_ns for path in corpora.rglob("*")}
    synthesise(corpora, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in corpora.rglob("*")} == before, "complete corpora are reused"


def test_same_bytes_whatever_the_workers_and_the_order(corpora, tmp_path):
    settings = SMALL | {"workers": 2, "languages": ("persian", "urdu")}
    assert synthesise(tmp_path, **settings) == ["demo_persian", "demo_urdu"]
    assert _digests(tmp_path) == _digests(corpora)


def test_a_seed_is_another_corpus(corpora, tmp_path):
    synthesise(tmp_path, **SMALL | {"languages": ("urdu",), "seed": 1})
    ours, theirs = _digests(tmp_path), _digests(corpora)
    assert not any(ours[name] == theirs[name] for name in ours)


def test_other_settings_replace_and_a_missing_clip_is_made_again(tmp_path):
    tiny = SMALL | {"languages": ("italian",), "per_speaker": 1}
    synthesise(tmp_path, **tiny)
    (tmp_path / "demo_italian" / "f1_sad_00.wav").unlink()
    synthesise(tmp_path, **tiny)
    assert len(list((tmp_path / "demo_italian").glob("*.wav"))) == 8
    synthesise(tmp_path, **tiny | {"speakers": 1})
    assert len(list((tmp_path / "demo_italian").glob("*.wav"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["demo_italian"]


def test_what_a_killed_run_left_is_not_reused(tmp_path, monkeypatch):
    tiny = SMALL | {"languages": ("italian",), "per_speaker": 1}

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthesis, "_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            synthesise(tmp_path, **tiny)
    assert not (tmp_path / "demo_italian").exists()
    partial = tmp_path / ".demo_italian.partial"
    assert partial.exists()
    (partial / "f9_happy_00.wav").write_bytes(b"half a clip")
    synthesise(tmp_path, **tiny)
    assert len(list((tmp_path / "demo_italian").glob("*.wav"))) == 8
    assert not partial.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    mine = tmp_path / "demo_urdu" / "mine.wav"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="demo_urdu"):
        synthesise(tmp_path, **SMALL)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "change",
    [{"speakers": 11}, {"per_speaker": 0}, {"seed": -1}, {"languages": ("farsi",)}],
)
def test_arguments_out_of_range(tmp_path, change):
    ((name, value),) = change.items()
    with pytest.raises(InputError, match="farsi" if name == "languages" else f"{name}: got {value}"):
        synthesise(tmp_path, **SMALL | change)
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken"):
        synthesise(tmp_path / "taken", **SMALL)


def test_missing_loader_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match="pip install"):
        synthesise(tmp_path / "new", **SMALL)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("text", "seconds"), [("Tea. " + "The bus comes along. " * 4, 2.5), ("Tea.", 1.2)])
def test_long_speech_is_cut_and_short_speech_is_padded(text, seconds):
    (utterance, *_) = recipe.draw_speaker("english", 0, 1, np.random.default_rng(0))
    utterance = dataclasses.replace(utterance, text=text, level=12.0, gain=9.0)
    samples = synthesis.record(Engine(), utterance, np.random.default_rng(0))
    assert len(samples) == round(seconds * 22050)
    assert np.abs(samples.astype(int)).max() <= 0.951 * 32768


def test_emotions_move_the_voice_as_they_should():
    voices = {emotion: [] for emotion in FOUR_EMOTIONS}
    for language in SOURCES:
        for speaker in range(6):
            for u in recipe.draw_speaker(language, speaker, 11, np.random.default_rng(speaker)):
                v = u.voice
                voices[u.file.split("_")[1]].append((v.rate, v.pitch, v.pitch_range, u.level, u.tilt))
    angry, happy, neutral, sad = (np.mean(voices[emotion], axis=0) for emotion in FOUR_EMOTIONS)
    assert np.all(sad < neutral)
    assert np.all(neutral < angry)
    assert happy[1] > angry[1]  # pitch
    assert angry[3] > happy[3]  # loudness


def test_workers_need_no_heavy_imports():
    code = (
        "import sys, metaser_jax; before = set(sys.modules); import metaser_jax.datasets.demo_voices.synthesis; "
        "print(sorted({'jax', 'librosa', 'tensorflow_datasets', 'flax', 'scipy.signal'} & (set(sys.modules) - before)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


TEXT = "The window looks out on the garden."


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def _fundamental(samples: np.ndarray, rate: int) -> float:
    """Median of the pitch, in Hz."""
    return float(np.median(librosa.yin(samples.astype(np.float64), fmin=60, fmax=400, sr=rate)))


def _voice(**change) -> Voice:
    return Voice(**({"language": "en", "variant": "m3", "pitch_range": 0} | change))


def test_a_fresh_engine_repeats_itself_and_an_old_one_does_not():
    voices = [Voice("en", "f2"), Voice("de", "m3"), Voice("en", "f2")]
    first, second = ([engine.say(TEXT, voice) for voice in voices] for engine in (Engine(), Engine()))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    # Should this ever pass as equal, eSpeak has become stateless, and one engine per speaker is no longer needed.
    assert not np.array_equal(first[0], first[2])


def test_voices_differ_as_they_say(engine):
    def fall(contour: int) -> float:
        first, second = np.array_split(engine.say(TEXT, _voice(contour=contour)), 2)
        return _fundamental(first, 22050) / _fundamental(second, 22050)

    low, middle, high = (_fundamental(engine.say(TEXT, _voice(pitch=p)), 22050) for p in (20, 50, 80))
    assert low * 1.15 < middle < high / 1.15
    assert fall(-30) < fall(0) < fall(30)
    slow, fast = (len(engine.say(TEXT, _voice(rate=rate))) for rate in (120, 220))
    assert fast < 0.75 * slow
    soft, loud = (np.std(engine.say(TEXT, _voice(volume=volume)).astype(float)) for volume in (20, 60))
    assert loud == pytest.approx(3 * soft, rel=0.15)


def test_markup_in_the_text_is_spoken_not_obeyed(engine):
    assert len(engine.say("Tea & <b> coffee", _voice())) > len(engine.say("Tea coffee", _voice()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "f22"}, "f22"),
        ({"language": "xx"}, r"xx\+m3"),
        ({"rate": 20}, r"rate: got 20"),
        ({"pitch": 120}, r"pitch: got 120"),
    ],
)
def test_errors(engine, change, message):
    with pytest.raises(InputError, match=message):
        engine.say(TEXT, _voice(**change))
