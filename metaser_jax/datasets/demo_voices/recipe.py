"""The model behind the demo corpora: each emotion as numbers.

An utterance's expression is a vector of seven quantities (QUANTITIES):

    e = base + intensity * (strength * EMOTION + language + speaker) + jitter,

where EMOTION is the mean of the emotion; strength says how much the language uses each quantity, and `language` is an
offset of that emotion in that language (both are the same for every seed); base and `speaker` are the speaker's own
manner of speaking and of showing that emotion; intensity and jitter belong to the utterance. The spreads were set so
that a classifier is neither at chance nor perfect, and gains from seeing the language that it is tested on; they are
a choice, not a measurement of people.
"""

import dataclasses
import tomllib
from pathlib import Path

import numpy as np

from metaser_jax.datasets.demo_voices.espeak import Voice
from metaser_jax.emotions import FOUR_EMOTIONS

VERSION = 1  # of everything that changes the sound; corpora of another version are made again

# What is said: everyday statements, the same in all languages and for every emotion; a column for each language.
_HEAD, *_ROWS = (line.split("\t") for line in Path(__file__).with_name("sentences.tsv").read_text("utf-8").splitlines())
SENTENCES = dict(zip(_HEAD, zip(*_ROWS, strict=True), strict=True))

_TABLES = tomllib.loads(Path(__file__).with_name("recipe.toml").read_text("utf-8"))
LANGUAGES = {"english": "en", "german": "de", "italian": "it", "persian": "fa", "urdu": "ur"}
SOURCES = ("english", "german")

# Utterances of each emotion by each speaker: a source has more recordings than a target, as in the paper.
PER_SPEAKER = {language: 11 if language in SOURCES else 8 for language in LANGUAGES}

# eSpeak's voice variants; which of them the speakers f1, m1, f2, ... of a corpus have is drawn.
VARIANTS = {"f": ("f1", "f2", "f3", "f4", "linda"), "m": ("m1", "m2", "m3", "m4", "m6", "m7")}
MAX_SPEAKERS = 10

# recipe.toml says how each emotion moves them, and what the languages have of their own.
# rate: log2 of words per minute.  pitch: steps of eSpeak's 0 to 99.  pitch_range: likewise.  contour: percent, see
# Voice.  level: dB.  tilt: dB of high frequencies over low ones (an angry voice is pressed and bright, a sad
# one dull).  decay: dB from the start of the clip to its end.
QUANTITIES = ("rate", "pitch", "pitch_range", "contour", "level", "tilt", "decay")
LANGUAGE_STRENGTH = (0.6, 1.5)
LANGUAGE_SPREAD = np.array([0.03, 3.0, 4.0, 4.0, 0.7, 0.8, 1.0])
SPEAKER_SPREAD = np.array([0.03, 3.0, 5.0, 3.0, 0.5, 0.8, 1.0])
JITTER = np.array([0.04, 3.5, 6.0, 5.0, 0.8, 1.2, 1.5])
INTENSITY = (1.0, 0.25)  # mean and spread
# Of rate to contour, of eSpeak's.
VOICE_LIMITS = ((110, 0, 0, -45), (230, 99, 99, 45))

ROOM_SPREAD_SPEAKER = np.array([1.5, 0.6, 0.8])
ROOM_SPREAD_UTTERANCE = np.array([1.5, 0.5, 0.6])


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A recording to make.

    Attributes:
      file: its name, {speaker}_{emotion}_{number}.wav.
      text: what is said.
      voice: how eSpeak says it.
      level: dB relative to the room's reference level.
      tilt: dB of high frequencies over low ones, of the voice alone.
      decay: dB by which the voice ends softer than it starts.
      snr: dB of the reference level over the background noise.
      gain: dB, of the channel, on voice and noise.
      channel_tilt: dB, likewise.
      pauses: seconds of background before and after the voice.
    """

    file: str
    text: str
    voice: Voice
    level: float
    tilt: float
    decay: float
    snr: float
    gain: float
    channel_tilt: float
    pauses: tuple[float, float]


def draw_language(language: str) -> np.ndarray:
    """Return [4, 7] means of the emotions, in the order of FOUR_EMOTIONS, in `language`: the same for every seed."""
    rng = np.random.default_rng([VERSION, list(LANGUAGES).index(language)])
    strength = rng.uniform(*LANGUAGE_STRENGTH, size=len(QUANTITIES))
    offsets = LANGUAGE_SPREAD * rng.standard_normal((len(FOUR_EMOTIONS), len(QUANTITIES)))
    means = strength * np.array([_TABLES["emotion"][emotion] for emotion in FOUR_EMOTIONS]) + offsets
    for row, emotion in enumerate(FOUR_EMOTIONS):
        means[row, 4:6] += _TABLES["habits"].get(language, {}).get(emotion, 0.0)
    return means


def draw_speaker(language: str, speaker: int, per_emotion: int, rng: np.random.Generator) -> list[Utterance]:
    """Draw all that one speaker says: `per_emotion` utterances of each emotion.

    Every emotion has the same sentences, as often, so that words do not give the label away.

    Args:
      language: a key of LANGUAGES.
      speaker: 0 to MAX_SPEAKERS - 1: f1, m1, f2, m2, ..., women and men in turn.
      per_emotion: number of utterances of each emotion.
      rng: this speaker's own generator.
    """
    name = f"{'fm'[speaker % 2]}{speaker // 2 + 1}"
    # The variants are dealt by language, not by seed, so that the speakers of a corpus differ from each other.
    variants = VARIANTS[name[0]]
    variant = variants[(speaker // 2 + 2 * list(LANGUAGES).index(language)) % len(variants)]
    base = np.array([np.log2(158), 46.0, 42.0, 0.0, 0.0, 0.0, 1.0])
    base += np.array([0.10, 7.0, 6.0, 3.0, 0.9, 1.3, 1.0]) * rng.standard_normal(len(QUANTITIES))
    own = SPEAKER_SPREAD * rng.standard_normal((len(FOUR_EMOTIONS), len(QUANTITIES)))
    order = rng.permutation(len(SENTENCES[language]))
    room = _TABLES["room"][language] + ROOM_SPREAD_SPEAKER * rng.standard_normal(3)

    utterances = []
    for emotion, mean in zip(FOUR_EMOTIONS, draw_language(language) + own, strict=True):
        for number in range(per_emotion):
            intensity = max(0.0, rng.normal(*INTENSITY))
            jitter = JITTER * rng.standard_normal(len(QUANTITIES))
            log_rate, pitch, pitch_range, contour, level, tilt, decay = base + intensity * mean + jitter
            numbers = np.clip([2**log_rate, pitch, pitch_range, contour], *VOICE_LIMITS).round().astype(int).tolist()
            voice = Voice(LANGUAGES[language], variant, **dict(zip(QUANTITIES[:4], numbers, strict=True)))
            snr, gain, channel_tilt = room + ROOM_SPREAD_UTTERANCE * rng.standard_normal(3)
            utterances.append(
                Utterance(
                    file=f"{name}_{emotion}_{number:02d}.wav",
                    text=SENTENCES[language][order[number % len(order)]],
                    voice=voice,
                    level=float(np.clip(level, -12, 12)),
                    tilt=float(tilt),
                    decay=float(decay),
                    snr=float(np.clip(snr, 6, 30)),
                    gain=float(np.clip(gain, -9, 9)),
                    channel_tilt=float(channel_tilt),
                    pauses=tuple(rng.uniform(0.03, 0.15, size=2).tolist()),
                )
            )
    return utterances
