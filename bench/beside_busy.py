"""Decoding on a CPU, alone and beside busy loops in turns: how much of its share of the cores the engine keeps.

python3 bench/beside_busy.py FOLDER [--busy 1] [--rounds 3] [--output-len N] [-- further options of localllm bench latency]

The share is what a fair scheduler gives the engine: with T threads beside B loops on C cores, min(1, C / (T + B)) of a core per thread.
Needs dotnet and src/Tool built in Release (LOCALLLM_TOOL names another localllm.dll).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

TOOL = os.environ.get("LOCALLLM_TOOL", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../src/Tool/bin/Release/net10.0/localllm.dll"))


def tokens_per_second(arguments, options):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = ["dotnet", TOOL, "bench", "latency", options.folder, "--device", "cpu", "--num-threads", str(options.threads), "--input-len", "32", "--output-len", str(options.output_len),
                   "--batch-size", "1", "--num-iters", "3", "--num-iters-warmup", "1", "--output-json", report.name, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return 1000 / json.load(report)["itl_ms"]["mean"]


def main():
    own, further = (sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]) if "--" in sys.argv else (sys.argv[1:], [])
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--busy", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output-len", type=int, default=128)
    options = parser.parse_args(own)
    share = min(1, len(os.sched_getaffinity(0)) / (options.threads + options.busy))
    alone, beside = [], []
    for _ in range(options.rounds):
        alone.append(tokens_per_second(further, options))
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
        try:
            beside.append(tokens_per_second(further, options))
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
    ratios = [b / a for a, b in zip(alone, beside)]
    print(f"{options.threads} threads, {options.busy} busy: {statistics.median(alone):.1f} tokens/s alone, {statistics.median(beside):.1f} beside, "
          f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), share {share:.2f}: {statistics.median(ratios) / share:.2f} of it")


main()
