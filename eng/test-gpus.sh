#!/usr/bin/env bash
# Runs the tests that need GPUs: kernels; the engine on one card; two ranks on one card, with our own kernels and with a stand-in for NCCL;
# and both cards if there are two. LOCALLLM_LIBTORCH must name a libtorch with CUDA. Takes a few minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$here/eng/setup.sh"
dotnet build "$here/tests/Engine.Tests" -c Release -v quiet --nologo
# Ranks that share a card share its context. With lazy loading, libtorch loads a kernel at its first launch and waits for the card, and so
# for a rank that waits for this one.
export CUDA_MODULE_LOADING=EAGER
suite() { dotnet "$here/tests/Engine.Tests/bin/Release/net10.0/LocalLlm.Engine.Tests.dll" --ansi off --progress off "$@"; }
printf '== one rank, and ranks on the cards that are there\n'
suite --filter-class '*Cuda*' --filter-class '*PeerCollectives*' --filter-class '*NcclCollectives*'
export LOCALLLM_TEST_EXECUTOR=tp2
printf '== two ranks on one card, own kernels\n'
CUDA_VISIBLE_DEVICES=0 suite --filter-class '*CudaE*'
printf '== two ranks on one card, a stand-in for NCCL\n'
CUDA_VISIBLE_DEVICES=0 LOCALLLM_TEST_NCCL=fake suite --filter-class '*CudaEngineTests'
printf '== two stages on one card, own kernels and a stand-in for NCCL\n'
CUDA_VISIBLE_DEVICES=0 LOCALLLM_TEST_EXECUTOR=pp2 suite --filter-class '*CudaEngineTests'
CUDA_VISIBLE_DEVICES=0 LOCALLLM_TEST_EXECUTOR=pp2 LOCALLLM_TEST_NCCL=fake suite --filter-class '*CudaEngineTests'
printf '== two data-parallel groups on one card, a stand-in for NCCL\n'
CUDA_VISIBLE_DEVICES=0 LOCALLLM_TEST_NCCL=fake suite --filter-class '*CudaDataParallelTests'
printf '== two ranks, a card each where there are two\n'
suite --filter-class '*CudaEngineTests'
