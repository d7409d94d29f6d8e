#!/usr/bin/env bash
# Tries localllm.sbatch under a real Slurm on one machine. Two network namespaces are the nodes na and nb, each with a slurmd; na also runs
# Slurm's controller. Needs root, Debian's packages slurm-wlm and munge, and a built program (dotnet build src/Tool -c Release).
#
#   eng/slurm/try.sh            serves models/tiny-r1 as two stages, sends requests, kills and stops node 1, waits for the restarts, drains
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d /tmp/localllm-slurm.XXXXXX)
chmod 755 "$folder"
address=10.79.31
started=()

a() { (on na "$@"); }
end() {
  [ -z "${job:-}" ] || a scancel --signal=KILL "$job" 2>/dev/null || true
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  sleep 1
  for host in na nb; do ip netns del "$host" 2>/dev/null || true; done
  [ -n "${KEEP:-}" ] || rm -rf "$folder"
}
trap end EXIT

# Runs a program on a node, with that node's network, name and /etc/hosts. (ip netns exec would hide the control groups, which slurmd
# needs.)
on() {
  local host=$1
  shift
  # shellcheck disable=SC2016
  exec nsenter --net="/run/netns/$host" unshare --mount --uts bash -c 'hostname "$1"; mount --bind "$2" /etc/hosts; shift 2; exec "$@"' on "$host" "$folder/hosts" "$@"
}

printf '127.0.0.1 localhost\n%s.1 na\n%s.2 nb\n' "$address" "$address" >"$folder/hosts"
for host in na nb; do ip netns add $host; done
ip link add veth0 netns na type veth peer name veth0 netns nb
ip -n na addr add $address.1/24 dev veth0
ip -n nb addr add $address.2/24 dev veth0
for host in na nb; do ip -n $host link set lo up; ip -n $host link set veth0 up; done

cat >"$folder/slurm.conf" <<CONF
ClusterName=try
SlurmctldHost=na
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
MpiDefault=none
KillWait=5
NodeName=na NodeAddr=$address.1 CPUs=2 State=UNKNOWN
NodeName=nb NodeAddr=$address.2 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=na,nb Default=YES MaxTime=INFINITE State=UP
CONF
mkdir -p "$folder/state" "$folder/spool-na" "$folder/spool-nb"
export SLURM_CONF=$folder/slurm.conf

if [ ! -S /run/munge/munge.socket.2 ]; then
  install -d -o munge -g munge /run/munge
  runuser -u munge -- munged --foreground >/dev/null 2>&1 & started+=($!)
  until [ -S /run/munge/munge.socket.2 ]; do sleep 0.2; done
fi
(on na slurmctld -D) >/dev/null 2>&1 & started+=($!)
(on na slurmd -D) >/dev/null 2>&1 & started+=($!)
(on nb slurmd -D) >/dev/null 2>&1 & started+=($!)
for _ in $(seq 100); do [ "$(a sinfo -h -t idle -o %D 2>/dev/null)" = 2 ] && break; sleep 0.3; done
a sinfo

cat >"$folder/localllm" <<RUN
#!/bin/sh
exec dotnet ${LOCALLLM_BUILD:-$root/src/Tool/bin/Release/net10.0}/localllm.dll "\$@"
RUN
chmod +x "$folder/localllm"
head -c 24 /dev/urandom | base64 >"$folder/token"

ask() {
  a curl -s --max-time 20 http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \
    -d '{"model":"tiny-r1","temperature":0,"messages":[{"role":"user","content":"What is 58 + 27?"}]}' | grep -o '"content":"[^"]*"'
}
ready() {
  for _ in $(seq 300); do
    [ "$(a curl -s -o /dev/null --max-time 5 -w '%{http_code}' http://127.0.0.1:8000/ready)" = 200 ] && return
    sleep 0.3
  done
  echo "not ready:"; tail -50 "$folder/job.log"; return 1
}

gone() {
  for _ in $(seq 200); do [ -z "$(a squeue -h -j "$1" 2>/dev/null)" ] && break; sleep 0.3; done
  a scontrol show job "$1" | grep -E 'JobState|ExitCode'
}
# Sends a signal to the program of node 1, found by its namespace.
signal_node_1() {
  for process in $(ip netns pids nb); do
    if tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null | grep -q '^dotnet .*localllm.dll serve'; then kill "-$1" "$process"; fi
  done
  begin=$(date +%s%N)
  until [ "$(a curl -s -o /dev/null --max-time 5 -w '%{http_code}' http://127.0.0.1:8000/health)" != 200 ]; do sleep 0.05; done
  echo "/health is not 200 any more after $((($(date +%s%N) - begin) / 1000000)) ms"
  until [ "$(a curl -s -o /dev/null --max-time 5 -w '%{http_code}' http://127.0.0.1:8000/health)" = 000 ]; do sleep 0.05; done
  ready
  echo "ready again"
}

cd "$folder"
export MODEL=$root/models/tiny-r1 LOCALLLM=$folder/localllm TOKEN_FILE=$folder/token
sbatch_line=(a sbatch --parsable --nodes=2 --output="$folder/job.log" "$root/eng/slurm/localllm.sbatch"
  --device cpu --dtype float32 --num-threads 1 --max-model-len 512 --num-gpu-blocks-override 128)
echo "-- an option that cannot work"
job=$("${sbatch_line[@]}" --pipeline-layers 1,2)
gone "$job"
cat "$folder/job.log"
echo "-- two nodes"
job=$("${sbatch_line[@]}")
echo "job $job"
ready; echo "ready"; a squeue; ask
echo "-- kill -9 of node 1"
signal_node_1 KILL; ask
echo "-- node 1 hangs (SIGSTOP)"
signal_node_1 STOP; ask
echo "-- scancel --batch --signal=TERM during a response"
a curl -sN --max-time 60 http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' \
  -d '{"model":"tiny-r1","prompt":"Once upon a time","max_tokens":400,"ignore_eos":true,"stream":true}' >"$folder/stream" & asked=$!
until [ -s "$folder/stream" ]; do sleep 0.02; done
a scancel --batch --signal=TERM "$job"
wait "$asked"
echo "the stream's end: $(grep -o '"finish_reason":"[a-z]*"\|"error":.*' "$folder/stream" | tail -n 1), $(grep '^data' "$folder/stream" | tail -n 1)"
gone "$job"
grep -v '^$' "$folder/job.log"
