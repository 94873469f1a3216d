#!/bin/bash
# Meta-trains on all hosts of a Cloud TPU VM slice, and starts again after preemptions and crashes.
#
#   TPU=my-tpu ZONE=us-west4-a experiments/launch/tpu_vm.sh        # from any machine with gcloud
#
# Assumes
#   - gcloud is installed and logged in, with ssh to the slice (tpu-vm ssh asks once and keeps a key), and quota for it:
#       gcloud compute tpus tpu-vm create "$TPU" --zone="$ZONE" --accelerator-type=v5litepod-16 \
#         --version=v2-alpha-tpuv5-lite
#   - the repository at REPO on every host, with an environment of Python 3.11 or newer (the images' own is older), made
#     once by:
#       gcloud compute tpus tpu-vm scp --recurse . "$TPU":metaser_jax --zone="$ZONE" --worker=all
#       gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="cd metaser_jax &&
#         pip install uv && ~/.local/bin/uv venv --python=3.12 && ~/.local/bin/uv pip install -e '.[tpu,train]'"
#   - corpora prepared by experiments/prepare.py at DATA_DIR on every host: its own copy, or a folder that all share;
#   - RUN_DIR on a file system that all hosts mount (NFS, Filestore): host 0 writes there; a new slice goes on from it.
#
# One process per host, with all its chips: what JAX expects on a TPU. A preempted (spot) slice is gone: make it again
# and give the same command. It must not run twice at once for one RUN_DIR.
set -uo pipefail

: "${TPU:?name of the TPU VM}" "${ZONE:?its zone}"
REPO=${REPO:-metaser_jax}
DATA_DIR=${DATA_DIR:-metaser_data}
RUN_DIR=${RUN_DIR:-/mnt/shared/runs/tpu}
SOURCES=${SOURCES:-ravdess,emodb}
TASKS=${TASKS:-16} # a multiple of the slice's chips
MAX_FAILURES=${MAX_FAILURES:-3}
PAUSE=${PAUSE:-30} # seconds before a start after another

# flock: if ssh broke off while a process went on, the next one waits until it has ended, instead of sharing its chips.
# JAX_COMPILATION_CACHE_DIR: a restart finds its compiled programs there.
command="cd $REPO && JAX_COMPILATION_CACHE_DIR=\$HOME/.cache/metaser_jax flock \$HOME/.metaser_jax.lock \
  .venv/bin/python experiments/meta_train.py \
  --cluster=tpu \
  --preset=lstm \
  --data_dir=$DATA_DIR \
  --sources=$SOURCES \
  --run_dir=$RUN_DIR \
  --tasks_per_episode=$TASKS"

# 0 done; 2 bad input, which the next try would meet again; 75 preempted, with a checkpoint written; anything else, such
# as 76 (a peer was lost) or 255 (ssh), is tried again MAX_FAILURES times. The same command goes on from the newest
# checkpoint. Assumed of gcloud: its exit code is that of a host where it was not 0.
failures=0
while true; do
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="$command"
  code=$?
  case $code in
    0 | 2) exit "$code" ;;
    75) echo "Preempted (75): started again in $PAUSE s." >&2 ;;
    *)
      failures=$((failures + 1))
      if ((failures > MAX_FAILURES)); then
        echo "Exit code $code, after $MAX_FAILURES restarts for failures: given up." >&2
        exit "$code"
      fi
      echo "Exit code $code: started again in $PAUSE s ($failures of $MAX_FAILURES)." >&2
      ;;
  esac
  sleep "$PAUSE"
done
