"""The demo corpora on disk: one folder per language, made by several processes, complete or absent.

A recording is eSpeak's voice, then its loudness and colour, room and channel.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from metaser_jax.datasets.demo_voices import recipe
from metaser_jax.datasets.demo_voices.espeak import Engine
from metaser_jax.datasets.demo_voices.recipe import Utterance
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError, check_choice
from metaser_jax.messages import progress_bar
from metaser_jax.processes import cores, spawn_pool

MANIFEST = "manifest.json"
MAKER = "metaser_jax.datasets.demo_voices"
SECONDS = (1.2, 2.5)  # shortest and longest recording
REFERENCE = 0.03  # RMS of a voice at 0 dB, of full scale
_FADE_SECONDS = 0.02
_HUM = -25.0  # dB of tilt: rooms hum rather than hiss


def synthesise(
    folder: str | os.PathLike,
    *,
    seed: int = 0,
    workers: int = 0,
    progress: bool = True,
    languages: Sequence[str] | None = None,
    speakers: int = 6,
    per_speaker: int | None = None,
) -> list[str]:
    """Write the corpora demo_english, demo_german, ... below `folder`, as {speaker}_{emotion}_{number}.wav.

    Files are mono 16-bit PCM at 22,050 Hz, 1.2 to 2.5 s. Their bytes depend on the arguments (not on `workers`) and on
    the version of eSpeak NG. A corpus appears under its name when it is complete; one that is already there with the
    same settings is kept, and one with other settings is replaced. Two calls must not write to one folder at a time.

    The processes are started by spawning: a script must call this below `if __name__ == "__main__":`.

    Args:
      folder: made if it does not exist.
      seed: non-negative; of speakers, utterances and noise.
      workers: number of processes; 1 works in this process, 0 takes one per available core.
      progress: whether to show a progress bar (on stderr).
      languages: keys of recipe.LANGUAGES; all of them by default.
      speakers: per language, 1 to 10.
      per_speaker: utterances of each emotion by each speaker, at most 100; recipe.PER_SPEAKER by default.

    Returns:
      The names of the corpora, in the order of `languages`: all are now complete in `folder`.

    Raises:
      InputError: espeakng_loader is missing; an argument is out of its range; or a folder of a corpus's name exists
        that this function did not write.
    """
    languages = list(recipe.LANGUAGES if languages is None else dict.fromkeys(languages))
    for language in languages:
        check_choice("Language of the demo corpora", language, recipe.LANGUAGES)
    for name, value, low, high in (
        ("speakers", speakers, 1, recipe.MAX_SPEAKERS),
        ("seed", seed, 0, 2**63 - 1),
        ("workers", workers, 0, 1024),
        ("per_speaker", 1 if per_speaker is None else per_speaker, 1, 100),
    ):
        if not low <= value <= high:
            raise InputError(f"{name}: got {value}, expected {low} to {high}.")

    folder = Path(folder)
    settings = {"made_by": MAKER, "recipe": recipe.VERSION, "espeak_ng": Engine().version}
    settings |= {"seed": seed, "speakers": speakers}
    jobs, missing = [], {}
    for language in languages:
        corpus, each = folder / corpus_name(language), per_speaker or recipe.PER_SPEAKER[language]
        manifest = settings | {"per_speaker": each}
        if _is_complete(corpus, manifest):
            continue
        partial = folder / f".{corpus.name}.partial"
        missing[partial] = corpus, manifest
        jobs += [(partial, language, speaker, each, seed) for speaker in range(speakers)]
    for partial in missing:
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"The demo corpora cannot be written to {folder}: {error}.") from error

    total = sum(job[3] for job in jobs) * len(FOUR_EMOTIONS)
    with (
        progress_bar(total=total, desc="eSpeak NG speaks", unit=" clips", shown=bool(progress and jobs)) as bar,
        contextlib.closing(_spoken(jobs, min(workers or cores(), len(jobs)))) as clips,
    ):
        for partial, (corpus, manifest) in missing.items():
            for _ in range(speakers):
                bar.update(next(clips))
            _publish(partial, corpus, manifest)
    return [corpus_name(language) for language in languages]


def corpus_name(language: str) -> str:
    """Return the name of a corpus and of its folder."""
    return f"demo_{language}"


def _is_complete(corpus: Path, manifest: dict) -> bool:
    if not corpus.exists():
        return False
    found = None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((corpus / MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("made_by") != MAKER:
        raise InputError(
            f"{corpus} exists and has no {MANIFEST} of {MAKER}: somebody else's, so it is left as it is. Move it away "
            "or choose another folder for the demo corpora."
        )
    clips = manifest["speakers"] * manifest["per_speaker"] * len(FOUR_EMOTIONS)
    return found == manifest and len(list(corpus.glob("*.wav"))) == clips


def _publish(partial: Path, corpus: Path, manifest: dict) -> None:
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    old = corpus.with_name(f".{corpus.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if corpus.exists():  # renamed, not deleted in place: a kill in between leaves nothing half-deleted under the name
        corpus.rename(old)
    partial.rename(corpus)
    shutil.rmtree(old, ignore_errors=True)


def _spoken(jobs: list[tuple], workers: int) -> Generator[int, None, None]:
    """Yield the number of utterances of each job, once it is done, in order."""
    if workers <= 1:
        yield from (_speak(*job) for job in jobs)
        return
    pool = spawn_pool(workers)
    try:
        for future in [pool.submit(_speak, *job) for job in jobs]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _speak(folder: Path, language: str, speaker: int, per_emotion: int, seed: int) -> int:
    """Write all utterances of one speaker, with an engine and a random generator of its own."""
    rng = np.random.default_rng([seed, recipe.VERSION, list(recipe.LANGUAGES).index(language), speaker])
    utterances = recipe.draw_speaker(language, speaker, per_emotion, rng)
    engine = Engine()
    for utterance in utterances:
        samples = record(engine, utterance, rng)
        soundfile.write(folder / utterance.file, samples, engine.sample_rate, subtype="PCM_16")
    return len(utterances)


def record(engine: Engine, utterance: Utterance, rng: np.random.Generator) -> np.ndarray:
    """Make one recording.

    Args:
      engine: the eSpeak engine; what it has said before matters (see espeak.py).
      utterance: what to say and how.
      rng: for the background noise.

    Returns:
      [n] int16 at the engine's sample rate; 1.2 to 2.5 seconds; not clipped.
    """
    rate = engine.sample_rate
    voice = _trim(engine.say(utterance.text, utterance.voice) / 32768.0)
    voice = _tilt(voice, utterance.tilt + utterance.channel_tilt, rate)
    voice *= 10 ** (np.linspace(0.0, -utterance.decay, len(voice)) / 20)
    voice *= REFERENCE * 10 ** (utterance.level / 20) / np.sqrt(np.mean(voice**2))

    before, after = (round(seconds * rate) for seconds in utterance.pauses)
    n = max(before + len(voice) + after, round(SECONDS[0] * rate))
    clip = np.zeros(n)
    clip[before : before + len(voice)] = voice
    clip = clip[: round(SECONDS[1] * rate)]
    noise = _tilt(rng.standard_normal(len(clip)), _HUM + utterance.channel_tilt, rate)
    clip += noise * REFERENCE * 10 ** (-utterance.snr / 20) / np.sqrt(np.mean(noise**2))

    clip *= 10 ** (utterance.gain / 20)
    fade = np.linspace(0.0, 1.0, round(_FADE_SECONDS * rate))
    clip[: len(fade)] *= fade
    clip[-len(fade) :] *= fade[::-1]
    clip *= min(1.0, 0.95 / np.max(np.abs(clip)))
    return np.round(clip * 32767).astype(np.int16)


def _trim(voice: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(voice) > 0.02 * np.max(np.abs(voice)))
    return voice[loud[0] : loud[-1] + 1]


def _tilt(samples: np.ndarray, db: float, rate: int) -> np.ndarray:
    """Turn the spectrum about 1 kHz: `db` is the gain of high frequencies over low ones (a first-order shelf)."""
    # scipy.signal has such filters, and takes longer to import than a process here has to work.
    n = -(-len(samples) // 2048) * 2048  # a transform of prime length would take longer than the speech
    kilohertz = np.fft.rfftfreq(n, 1000 / rate)
    ratio = 10 ** (db / 20)
    shelf = np.sqrt((ratio * kilohertz**2 + 1) / (kilohertz**2 + ratio))
    return np.fft.irfft(np.fft.rfft(samples, n) * shelf, n)[: len(samples)]
