#!/bin/bash
# Measures on one CUDA GPU what is "not measured" without one; needs jax, flax, optax and PyTorch, and no network.
#
#   experiments/benchmarks/gpu.sh [--out=runs/gpu] [--part=correctness|steps|loop] [--budget=540]
#
# A call ends after --budget seconds, and repeated goes on where it stopped: until it says that nothing is left.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here/../..${PYTHONPATH:+:$PYTHONPATH}"
# Else jax takes three quarters of the memory at once, and PyTorch has the rest.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
exec "${PYTHON:-python3}" "$here/gpu.py" "$@"
