"""The demo corpora on disk: one folder per language, made by several processes, complete or absent."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np
import soundfile

from metaser_jax.demo_voices import recipe
from metaser_jax.demo_voices.espeak import Engine
from metaser_jax.demo_voices.sound import record
from metaser_jax.emotions import FOUR_EMOTIONS
from metaser_jax.errors import InputError, check_choice
from metaser_jax.messages import progress_bar
from metaser_jax.processes import cores, spawn_pool

MANIFEST = "manifest.json"
MAKER = "metaser_jax.demo_voices"


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
    _check_range("speakers", speakers, 1, recipe.MAX_SPEAKERS)
    _check_range("seed", seed, 0, 2**63 - 1)
    _check_range("workers", workers, 0, 1024)
    if per_speaker is not None:
        _check_range("per_speaker", per_speaker, 1, 100)

    folder = Path(folder)
    version = Engine().version
    manifests, missing = {}, []
    for language in languages:
        manifests[language] = {
            "made_by": MAKER,
            "recipe": recipe.VERSION,
            "espeak_ng": version,
            "seed": seed,
            "speakers": speakers,
            "per_speaker": per_speaker or recipe.PER_SPEAKER[language],
        }
        if not _is_complete(folder / corpus_name(language), manifests[language]):
            missing.append(language)

    jobs, left = [], dict.fromkeys(missing, speakers)
    for language in missing:
        partial = _partial(folder, language)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"The demo corpora cannot be written to {folder}: {error}.") from error
        per_emotion = manifests[language]["per_speaker"]
        jobs += [(str(partial), language, speaker, per_emotion, seed) for speaker in range(speakers)]

    total = sum(job[3] for job in jobs) * len(FOUR_EMOTIONS)
    with progress_bar(total=total, desc="eSpeak NG speaks", unit=" clips", shown=bool(progress and jobs)) as bar:
        for language, n_clips in _finished(jobs, min(workers or cores(), len(jobs))):
            bar.update(n_clips)
            left[language] -= 1
            if left[language] == 0:
                _publish(folder, language, manifests[language])
    return [corpus_name(language) for language in languages]


def corpus_name(language: str) -> str:
    """Return the name of a corpus and of its folder."""
    return f"demo_{language}"


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name}: got {value}, expected {low} to {high}.")


def _partial(folder: Path, language: str) -> Path:
    return folder / f".{corpus_name(language)}.partial"


def _is_complete(corpus: Path, manifest: dict) -> bool:
    if not corpus.exists():
        return False
    try:
        found = json.loads((corpus / MANIFEST).read_text(encoding="utf-8"))
        made_by = found["made_by"]
    except (OSError, ValueError, TypeError, KeyError):
        made_by = None
    if made_by != MAKER:
        raise InputError(
            f"{corpus} exists and has no {MANIFEST} of {MAKER}: somebody else's, so it is left as it is. Move it away "
            "or choose another folder for the demo corpora."
        )
    clips = manifest["speakers"] * manifest["per_speaker"] * len(FOUR_EMOTIONS)
    return found == manifest and len(list(corpus.glob("*.wav"))) == clips


def _publish(folder: Path, language: str, manifest: dict) -> None:
    partial, corpus = _partial(folder, language), folder / corpus_name(language)
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    old = folder / f".{corpus.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if corpus.exists():  # renamed, not deleted in place: a kill in between leaves nothing half-deleted under the name
        corpus.rename(old)
    partial.rename(corpus)
    shutil.rmtree(old, ignore_errors=True)


def _finished(jobs: list[tuple], workers: int) -> Iterator[tuple[str, int]]:
    if workers <= 1:
        yield from (_speak(*job) for job in jobs)
        return
    pool = spawn_pool(workers)
    try:
        for future in as_completed([pool.submit(_speak, *job) for job in jobs]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _speak(folder: str, language: str, speaker: int, per_emotion: int, seed: int) -> tuple[str, int]:
    """Write all utterances of one speaker, with an engine and a random generator of its own."""
    rng = np.random.default_rng([seed, recipe.VERSION, list(recipe.LANGUAGES).index(language), speaker])
    utterances = recipe.draw_speaker(language, speaker, per_emotion, rng)
    engine = Engine()
    for utterance in utterances:
        samples = record(engine, utterance, rng)
        soundfile.write(Path(folder) / utterance.file, samples, engine.sample_rate, subtype="PCM_16")
    return language, len(utterances)
