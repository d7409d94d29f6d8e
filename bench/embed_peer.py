"""transformers on the texts of `LocalLlm.Bench embed`: the same folder of random weights, texts of the same lengths, bfloat16, on a GPU.

python3 bench/embed_peer.py FOLDER [compile]

Texts are padded to the longest of their batch, because transformers needs it. They run all at once in the given order, and sorted by length in
batches of several sizes, as in sentence-transformers. Prints the median of 7 runs of each; with "compile" also under torch.compile with dynamic
shapes.
"""
import sys

import torch
from transformers import XLMRobertaModel

FOLDER = sys.argv[1]
RUNS = 7


def batches(lengths, size):
    for first in range(0, len(lengths), size):
        some = lengths[first:first + size]
        ids = torch.full((len(some), max(some)), 1)
        for row, length in enumerate(some):
            ids[row, :length] = torch.randint(10, 4000, (length,))
        yield ids.cuda(), (ids != 1).long().cuda()


def median_ms(work):
    times = []
    for _ in range(RUNS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[RUNS // 2]


def measure(name, model, lengths, sizes):
    for size, order in [(len(lengths), lengths)] + [(size, sorted(lengths)) for size in sizes]:
        prepared = list(batches(order, size))

        def work():
            vectors = [model(ids, attention_mask=mask).last_hidden_state[:, 0] for ids, mask in prepared]
            torch.nn.functional.normalize(torch.cat(vectors).float()).cpu()

        for _ in range(2):
            work()
        ms = median_ms(work)
        print(f"{name}, batches of {size}{'' if order is lengths else ', sorted'}: {ms:.1f} ms, {sum(lengths) / ms * 1e3:.0f} tokens/s", flush=True)


lengths = [int(line) for line in open(f"{FOLDER}/lengths.txt")]
with torch.inference_mode():
    model = XLMRobertaModel.from_pretrained(FOLDER, dtype=torch.bfloat16, device_map="cuda", add_pooling_layer=False).eval()
    print(f"{torch.cuda.get_device_name()}, attention: {model.config._attn_implementation}", flush=True)
    measure("transformers", model, lengths, (4, 8, 16, 32))
    if "compile" in sys.argv:
        measure("transformers, torch.compile", torch.compile(model, dynamic=True), lengths, (8, 16))
