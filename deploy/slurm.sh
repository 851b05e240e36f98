#!/usr/bin/env bash
# A search on SLURM: one Ray node on each machine of the allocation, one command on the first.
#
#   sbatch deploy/slurm.sh                                   # kedro run --env cluster --pipelines tune
#   sbatch --nodes=4 deploy/slurm.sh --pipelines train        # anything that kedro run takes
#
# Submitted from the project, on storage that all machines share; SEQTUNE_STUDY_URL (a PostgreSQL or
# MySQL database) in the environment of sbatch. A job that ran out of time is submitted again and goes
# on from the study.
#SBATCH --job-name=seqtune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=seqtune-%j.log
#   with GPUs:  #SBATCH --gpus-per-task=4
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?this is to be submitted by sbatch}"
PATH="$PWD/.venv/bin:$PATH"
: "${SEQTUNE_STUDY_URL:?the address of the database of the studies is missing; one SQLite file does not serve several machines}"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$(getent ahostsv4 "$head" | awk 'NR == 1 { print $1 }'):${RAY_PORT:-6379}"

# Whoever has the token can run code on these machines: each job has its own.
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0 RAY_ADDRESS="$address"
# Ray's sockets need a short path, of this job alone and on the machine itself.
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID"

# symmetric-run starts Ray everywhere, runs the command on the head once all machines are there, and
# takes everything down: every Ray of yours on these machines, therefore --exclusive. The dashboard is bound to loopback: see docs/guide/cluster.md.
srun --kill-on-bad-exit=1 ray symmetric-run \
	--address "$address" \
	--min-nodes "$SLURM_JOB_NUM_NODES" \
	--num-cpus "${SLURM_CPUS_PER_TASK:-1}" \
	--dashboard-host 127.0.0.1 \
	-- kedro run --env cluster "${@:---pipelines=tune}" &
step=$!
trap 'kill -TERM "$step"' TERM INT
wait "$step"
