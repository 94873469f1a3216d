"""The numeric core runs where only jax, flax and optax (and what they need) are installed."""

import subprocess
import sys

CORE = (
    *("types", "models.lstm", "models.classifier", "models.losses", "meta.maml", "meta.supervised"),
    *("sampling.bank", "sampling.minibatches", "sampling.episodes", "sampling.tasks"),
    *("loops.meta_training", "loops.pretraining", "loops.finetuning", "devices.parallel"),
)
# Of the package's names those that are not of the core: it reads recordings.
NOT_CORE = ("Predictor",)
ABSENT = ("tensorflow_datasets", "librosa", "soundfile", "sklearn", "matplotlib", "tqdm", "array_record")


def test_core_imports_without_the_rest():
    program = f"""
import sys
for name in {ABSENT}:
    sys.modules[name] = None  # importing it is an ImportError
import metaser_jax
for name in set(metaser_jax.__all__) - set({NOT_CORE}):
    getattr(metaser_jax, name)
for name in {CORE}:
    __import__("metaser_jax." + name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_preparing_needs_no_jax():
    program = "import sys, metaser_jax.audio.mfcc, metaser_jax.datasets; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_adapting_imports_nothing_that_it_does_not_need():
    """Checkpoints are a run's; tables of corpora are a training's; librosa's filters are made once and kept."""
    heavy = "{'orbax', 'tensorflow_datasets', 'librosa', 'matplotlib', 'tensorboardX', 'starlette'}"
    program = f"import sys, metaser_jax.adaptation.few_clips; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
