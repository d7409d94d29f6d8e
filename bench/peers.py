"""transformers beside which the engine is measured: one stream, 128 tokens in, 512 out, static cache and its automatic torch.compile.

python3 bench/peers.py FOLDER...      (folders made by make_model.py; needs a GPU, torch and transformers)
"""
import sys
import time

import torch
from transformers import AutoModelForCausalLM


def median_ms(work, count):
    times = []
    for _ in range(count):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def limits():
    x = torch.randn(1 << 29, device="cuda", dtype=torch.bfloat16)
    y = torch.empty_like(x)
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        y.copy_(x)
        a @ b
    print(f"copy {4 * x.numel() / median_ms(lambda: y.copy_(x), 20) / 1e6:.0f} GB/s, "
          f"matmul {2 * 8192**3 / median_ms(lambda: a @ b, 20) / 1e9:.0f} TFLOP/s", flush=True)


def generate(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cuda").eval()
    ids = torch.randint(100, 10000, (1, 128), device="cuda")

    def run(tokens):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model.generate(ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False,
                       cache_implementation="static", pad_token_id=0)
        torch.cuda.synchronize()
        return time.perf_counter() - begin

    run(16)
    run(512)
    # The first token is the prefill's.
    print(f"{folder}: {511 / (sorted(run(512) for _ in range(3))[1] - run(1)):.1f} tokens/s", flush=True)


limits()
for name in sys.argv[1:]:
    with torch.inference_mode():
        generate(name)
    torch.cuda.empty_cache()
