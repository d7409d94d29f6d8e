#!/usr/bin/env bash
# Tensor and pipeline parallelism on the GPUs of this machine: what the tests say of ranks on cards of their own, sums between cards, models of real
# shapes with random weights over 1 card and more beside their floor, threads beside processes, and layers of DeepSeek-V3.
#
#   bench/multi_gpu.sh [FOLDER]      FOLDER (default: artifacts/multi-gpu) receives a log for each part
#
# Wants 2 NVIDIA cards or more, NCCL, and a libtorch with CUDA (LOCALLLM_LIBTORCH). LOCALLLM_BUILD=FOLDER names a published build
# (LocalLlm.Bench, LocalLlm.Engine.Tests, LocalLlm.Cluster.Tests and localllm in one folder) instead of what is built here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$here/artifacts/multi-gpu}
mkdir -p "$out"
out=$(cd "$out" && pwd)
[[ -z ${LOCALLLM_BUILD:-} ]] || LOCALLLM_BUILD=$(cd "$LOCALLLM_BUILD" && pwd)
cd "$here"
cards=$(nvidia-smi --list-gpus | wc -l)
if (( cards < 2 )); then
  echo "found $cards card(s), wanted 2 or more; one card alone: LocalLlm.Bench cards, collectives --cards 1" >&2
  exit 2
fi
# A kernel that is loaded late may wait for the card, and the card for another rank.
export CUDA_MODULE_LOADING=EAGER

if [[ -n ${LOCALLLM_BUILD:-} ]]; then
  bench() { "$LOCALLLM_BUILD/LocalLlm.Bench" "$@"; }
  tests() { local name=$1; shift; "$LOCALLLM_BUILD/LocalLlm.$name.Tests" --ansi off --progress off "$@"; }
  export LOCALLLM_TEST_PROGRAM=$LOCALLLM_BUILD/localllm
else
  for project in bench tests/Engine.Tests tests/Cluster.Tests; do dotnet build "$here/$project" -c Release -v quiet --nologo; done
  bench() { dotnet "$here/bench/bin/Release/net10.0/LocalLlm.Bench.dll" "$@"; }
  tests() { local name=$1; shift; dotnet "$here/tests/$name.Tests/bin/Release/net10.0/LocalLlm.$name.Tests.dll" --ansi off --progress off "$@"; }
fi

part() { # a part that fails is reported, and the others still run
  local name=$1; shift
  printf '== %s\n' "$name"
  "$@" 2>&1 | tee "$out/$name.log" || printf '%s failed\n' "$name"
}

part topology nvidia-smi topo -m
for class in PeerCollectives NcclCollectives CudaParallelTests CudaDeepseekParallelTests CudaDataParallelTests; do
  part "tests-$class" tests Engine --filter-class "*$class*"
done
part tests-processes tests Cluster --filter-class '*GpuProcessTests*'

sizes() { for (( n = 2; n <= cards; n *= 2 )); do echo $n; done; }
for n in $(sizes); do part "sums-$n" bench collectives --cards "$n"; done
# Shapes, and the fewest cards of 80 GB that hold each.
for shape in qwen2-7b:1 qwen2-32b:1 llama-70b:2; do
  for n in 1 $(sizes); do
    (( n >= ${shape#*:} )) && part "${shape%:*}-tp$n" bench cards --shape "${shape%:*}" -tp "$n" --rounds 3
  done
done
part qwen2-7b-pp2 bench cards --shape qwen2-7b -pp 2 --rounds 3
(( cards >= 4 )) && part qwen2-7b-tp2-pp2 bench cards --shape qwen2-7b -tp 2 -pp 2 --rounds 3
for backend in threads processes; do part "qwen2-7b-tp2-$backend" bench cards --shape qwen2-7b -tp 2 --backend $backend --rounds 3; done
for n in 1 $(sizes); do part "deepseek-v3-tp$n" bench deepseek-stack --device cuda -tp "$n" --rounds 3; done
for n in $(sizes); do part "deepseek-v3-ep$n" bench deepseek-stack --device cuda -tp "$n" --enable-expert-parallel --rounds 3; done
