#!/bin/bash
# Runs a program as N processes on this machine, to try a cluster's job without one. Each line begins with its process.
#
#   experiments/launch/local.sh 2 .venv/bin/python experiments/meta_train.py \
#     --data_dir=data --sources=ravdess,emodb --run_dir=runs/local --tasks_per_episode=8 --devices=1
#
# Assumes a port of localhost that is free (PORT). Ctrl-C and SIGTERM stop all processes, with a checkpoint. The exit
# code is the highest of theirs, as srun's: 75 preempted, 76 a peer was lost, 2 bad input; the same command goes on.
set -uo pipefail

if (($# < 2)) || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: local.sh PROCESSES COMMAND...; got: $*" >&2
  exit 2
fi
processes=$1
shift
port=${PORT:-29500}

pids=()
for ((id = 0; id < processes; id++)); do
  # Not a pipe, so that $! is the program's, and `wait` gives its exit code.
  "$@" --coordinator_address="localhost:$port" --num_processes="$processes" --process_id="$id" \
    > >(sed -u "s/^/$id: /") 2> >(sed -u "s/^/$id: /" >&2) &
  pids+=($!)
done
interrupted=0
# SIGTERM for Ctrl-C, too: what a shell starts in the background ignores SIGINT.
trap 'interrupted=1; kill -TERM "${pids[@]}" 2>/dev/null' TERM INT

highest=0
for pid in "${pids[@]}"; do
  while true; do
    interrupted=0
    wait "$pid"
    code=$?
    # A signal that is trapped ends `wait`, and not the process.
    ((interrupted)) || break
  done
  ((code > highest)) && highest=$code
done
exit "$highest"
