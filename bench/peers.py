"""transformers and plain PyTorch on the card that the engine is measured on, and the card's own limits.

python3 bench/peers.py FOLDER [limits] [prefill] [graph] [generate] [continuous]

FOLDER is written by make_model.py. Needs a GPU, torch and transformers. Without names all parts run; each prints one line:
  limits      bytes per second that a copy reads and writes, operations per second of a bfloat16 matrix product
  prefill     forward pass of 1,024 and 8,192 tokens to the logits of the last one
  graph       128 tokens in, 512 out: forward pass over a static cache, recorded as one CUDA graph, no compiler
  generate    the same with generate() and a static cache; generate() compiles the model itself
  continuous  the 256 requests of nano-vllm's bench.py with continuous batching, for at most two minutes
"""
import random
import sys
import time

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, StaticCache

PROMPT, OUTPUT = 128, 512
CONTINUOUS_SECONDS = 120


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


def limits(_):
    x = torch.randn(1 << 29, device="cuda", dtype=torch.bfloat16)
    y = torch.empty_like(x)
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        y.copy_(x)
        a @ b
    return (f"{torch.cuda.get_device_name()}, copy {4 * x.numel() / median_ms(lambda: y.copy_(x), 20) / 1e6:.0f} GB/s, "
            f"matmul {2 * 8192**3 / median_ms(lambda: a @ b, 20) / 1e9:.0f} TFLOP/s")


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cuda").eval()


def prompt(tokens):
    return torch.randint(100, 10000, (1, tokens), device="cuda")


def prefill(folder):
    model, results = load(folder), []
    for tokens in (1024, 8192):
        ids = prompt(tokens)
        work = lambda: model(ids, logits_to_keep=1, use_cache=True)
        work()
        results.append(f"{tokens} tokens {median_ms(work, 7):.1f} ms")
    return ", ".join(results)


def graph(folder):
    model = load(folder)
    cache = StaticCache(config=model.config, max_cache_len=PROMPT + OUTPUT + 8)
    token = model(prompt(PROMPT), past_key_values=cache, logits_to_keep=1).logits[:, -1].argmax(-1, keepdim=True)
    position = torch.full((1,), PROMPT, device="cuda")

    def step():
        logits = model(token, past_key_values=cache, position_ids=position[None], cache_position=position, logits_to_keep=1).logits
        token.copy_(logits[:, -1].argmax(-1, keepdim=True))
        position.add_(1)

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded, stream=stream):
        step()
    position.fill_(PROMPT)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(OUTPUT - 1):
        recorded.replay()
    torch.cuda.synchronize()
    return f"{(OUTPUT - 1) / (time.perf_counter() - begin):.1f} tokens/s"


def generate(folder):
    model, ids = load(folder), prompt(PROMPT)

    def run(tokens):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model.generate(ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False,
                       cache_implementation="static", pad_token_id=0)
        torch.cuda.synchronize()
        return time.perf_counter() - begin

    run(16)
    run(OUTPUT)
    # The prefill computes the first token.
    return f"{(OUTPUT - 1) / (sorted(run(OUTPUT) for _ in range(3))[1] - run(1)):.1f} tokens/s"


def continuous(folder):
    random.seed(0)
    prompts = [[random.randint(0, 10000) for _ in range(random.randint(100, 1024))] for _ in range(256)]
    outputs = [random.randint(100, 1024) for _ in prompts]
    model = load(folder)
    config = GenerationConfig(do_sample=True, temperature=0.6, max_new_tokens=1024, eos_token_id=-1, pad_token_id=0)
    manager = model.init_continuous_batching(generation_config=config)
    manager.start()
    begin = time.perf_counter()
    for ids, tokens in zip(prompts, outputs):
        manager.add_request(ids, max_new_tokens=tokens)
    made = finished = 0
    while finished < len(prompts) and time.perf_counter() - begin < CONTINUOUS_SECONDS:
        result = manager.get_result(timeout=5)
        if result is not None:
            if result.error:
                raise RuntimeError(f"no answer: {result.error}")
            made += len(result.generated_tokens)
            finished += 1
    elapsed = time.perf_counter() - begin
    # Requests that still run are not counted, so the rate of an unfinished run is a lower bound.
    manager.stop(block=False)
    return f"{finished} of {len(prompts)} requests, {made} tokens, {made / elapsed:.0f} output tokens/s ({model.config._attn_implementation})"


ALL = {work.__name__: work for work in (limits, prefill, graph, generate, continuous)}
for name in sys.argv[2:] or ALL:
    with torch.inference_mode():
        try:
            print(f"{sys.argv[1]} {name}: {ALL[name](sys.argv[1])}", flush=True)
        except Exception as failure:  # the failure of one peer does not stop the others
            print(f"{sys.argv[1]} {name}: failed: {type(failure).__name__}: {str(failure)[:300]}", flush=True)
    torch.cuda.empty_cache()
