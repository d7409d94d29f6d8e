"""Processor time of an idle server: after it has answered, and with its threads asleep.

python3 bench/idle.py FOLDER [--seconds 20] [-- further options of localllm serve]

Needs dotnet and src/Tool built in Release (LOCALLLM_TOOL names another localllm.dll).
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

TOOL = os.environ.get("LOCALLLM_TOOL", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../src/Tool/bin/Release/net10.0/localllm.dll"))


def processor_seconds(process):
    """Seconds of processor time of each thread, by id and name."""
    threads = {}
    for thread in os.listdir(f"/proc/{process}/task"):
        name, fields = open(f"/proc/{process}/task/{thread}/stat").read().rsplit(")", 1)
        times = fields.split()
        threads[f"{thread} {name.split('(', 1)[1]}"] = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
    return threads


def main():
    own, further = (sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]) if "--" in sys.argv else (sys.argv[1:], [])
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args(own)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(["dotnet", TOOL, "serve", options.folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", *further],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/v1/completions"
        request = urllib.request.Request(url, json.dumps({"prompt": "One two three", "max_tokens": 64}).encode(), {"Content-Type": "application/json"})
        while True:
            try:
                urllib.request.urlopen(request).read()
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("the server has ended")
                time.sleep(0.5)
        time.sleep(5)  # let the runtime finish compiling in the background
        before = processor_seconds(server.pid)
        time.sleep(options.seconds)
        after = processor_seconds(server.pid)
        spent = {name: after[name] - before.get(name, 0) for name in after if after[name] > before.get(name, 0)}
        print(f"{100 * sum(spent.values()) / options.seconds:.2f} % of one core over {options.seconds:.0f} s, {len(after)} threads"
              + "".join(f"; {name}: {100 * time_ / options.seconds:.2f} %" for name, time_ in spent.items()))
    finally:
        server.terminate()
        server.wait()


main()
