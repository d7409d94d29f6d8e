"""The bound of nano-vllm's workload on a card: prompts run at the matrix rate, then all 256 requests decode together at the copy rate.

python3 bench/bound.py FOLDER COPY_GB_S MATMUL_TFLOP_S      (FOLDER: written by make_model.py, or any folder with a config.json)
"""
import json
import os
import random
import sys

config = json.load(open(os.path.join(sys.argv[1], "config.json")))
bandwidth, flops = float(sys.argv[2]) * 1e9, float(sys.argv[3]) * 1e12
layers, hidden, vocab = config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]
head = config.get("head_dim") or hidden // config["num_attention_heads"]
kv = config["num_key_value_heads"] * head
body = layers * (2 * hidden * config["num_attention_heads"] * head + 2 * hidden * kv + 3 * hidden * config["intermediate_size"])
weights, cached = 2 * (body + vocab * hidden), 4 * layers * kv

random.seed(0)
prompts = [len([random.randint(0, 10000) for _ in range(random.randint(100, 1024))]) for _ in range(256)]
outputs = [random.randint(100, 1024) for _ in prompts]
prefill = sum(2 * body * n + 2 * vocab * hidden + 2 * layers * n * n * hidden for n in prompts) / flops
decode = 0
for step in range(1, max(outputs)):
    running = [prompt + step for prompt, output in zip(prompts, outputs) if output > step]
    decode += max((weights + cached * sum(running)) / bandwidth, 2 * (body + vocab * hidden) * len(running) / flops)
print(f"weights of a token {weights / 1e9:.2f} GB, {cached / 1024:.0f} KiB of keys and values a position; "
      f"{sum(prompts)} + {sum(outputs)} tokens in {prefill:.2f} + {decode:.2f} s: {sum(outputs) / (prefill + decode):.0f} output tokens/s")
