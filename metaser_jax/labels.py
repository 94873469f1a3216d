"""The emotions, and the number that stands for each in every corpus.

The four that all eight corpora share come first and in the order of every confusion matrix, so `label < 4` selects
them. New emotions are appended, never inserted: prepared corpora on disk hold these numbers.
"""

FOUR_EMOTIONS = ("angry", "happy", "neutral", "sad")

EMOTIONS = (
    *FOUR_EMOTIONS,
    "boredom",
    "calm",
    "disgust",
    "excited",
    "fear",
    "frustrated",
    "surprise",
    "other",
)

LABEL_OF_EMOTION = {emotion: label for label, emotion in enumerate(EMOTIONS)}
