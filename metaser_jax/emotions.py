"""The emotions, and the number that stands for each in every corpus.

The four that all eight corpora share come first and in the order of every confusion matrix, so `label < 4` selects
them. New emotions are appended, never inserted: prepared corpora on disk hold these numbers.
"""

import unicodedata

# Emotion -> its usual other names, for labels that people write themselves. Calm is not neutral: corpora have both.
_SYNONYMS = {
    "angry": ("anger", "ang", "mad"),
    "happy": ("happiness", "hap", "joy", "joyful"),
    "neutral": ("neu", "neutrality"),
    "sad": ("sadness",),
    "boredom": ("bored", "boring"),
    "calm": ("calmness", "relaxed"),
    "disgust": ("disgusted", "dis"),
    "excited": ("excitement", "exc"),
    "fear": ("fearful", "afraid", "anxiety", "anxious", "scared", "fea"),
    "frustrated": ("frustration", "fru"),
    "surprise": ("surprised", "pleasant surprise", "ps", "sur"),
    "other": ("others", "oth"),
}
EMOTIONS = tuple(_SYNONYMS)
FOUR_EMOTIONS = EMOTIONS[:4]
_EMOTION_OF_NAME = {name: emotion for emotion, names in _SYNONYMS.items() for name in (emotion, *names)}


def emotion_named(text: str) -> str | None:
    """Return the one of EMOTIONS that a person's word stands for, e.g. " Anger" or "SAD"; None if it is not known."""
    text = unicodedata.normalize("NFC", text).lower()
    return _EMOTION_OF_NAME.get(" ".join(text.replace("_", " ").replace("-", " ").split()))
