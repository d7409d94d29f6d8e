"""DeepSeek-V3's layers with random weights in PyTorch and transformers: the peers of `deepseek-stack` and `deepseek-kernels --part experts`.

python3 bench/deepseek_peer.py [grouped] [layers]      (needs a GPU with 100 GB, torch and transformers; runs both without names)

  grouped  torch._grouped_mm in bfloat16 over 256 experts, up and down with SiLU between them, in a CUDA graph
  layers   transformers' DeepseekV3, one dense layer and three with experts in bfloat16: prompts, and decode steps over a context of 1,000 tokens
"""
import sys
import time

import torch

EXPERTS, PER_TOKEN, HIDDEN, WIDTH, VOCABULARY = 256, 8, 7168, 2048, 16160
REPEATS, REPLAYS = 4, 5


def in_graph(body, repeats=REPEATS):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            body()
    for _ in range(2):
        graph.replay()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(REPLAYS):
        graph.replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / (repeats * REPLAYS)


def grouped():
    up = (torch.randn(EXPERTS, 2 * WIDTH, HIDDEN, device="cuda", dtype=torch.bfloat16) * 0.02).transpose(1, 2)
    down = (torch.randn(EXPERTS, HIDDEN, WIDTH, device="cuda", dtype=torch.bfloat16) * 0.02).transpose(1, 2)
    for tokens in (1, 8, 64, 512, 4096):
        x = torch.randn(tokens, HIDDEN, device="cuda", dtype=torch.bfloat16)
        chosen = torch.randn(tokens, EXPERTS, device="cuda").topk(PER_TOKEN).indices.flatten()

        def experts():
            ids, order = chosen.sort()
            ends = torch.searchsorted(ids, torch.arange(EXPERTS, device="cuda"), right=True).to(torch.int32)
            inner = torch._grouped_mm(x[order // PER_TOKEN], up, offs=ends)
            inner = torch.nn.functional.silu(inner[:, :WIDTH]) * inner[:, WIDTH:]
            rows = torch._grouped_mm(inner, down, offs=ends)
            result = torch.empty_like(rows)
            result[order] = rows
            return result.view(tokens, PER_TOKEN, HIDDEN).sum(1)

        print(f"experts of {tokens} tokens in bfloat16, sorted, multiplied and summed: {in_graph(experts) * 1e6:.0f} us", flush=True)


def layers():
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DynamicCache
    config = DeepseekV3Config(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=18432, moe_intermediate_size=WIDTH, num_hidden_layers=4,
        num_attention_heads=128, num_key_value_heads=128, n_shared_experts=1, n_routed_experts=EXPERTS, routed_scaling_factor=2.5, kv_lora_rank=512,
        q_lora_rank=1536, qk_rope_head_dim=64, v_head_dim=128, qk_nope_head_dim=128, n_group=8, topk_group=4, num_experts_per_tok=PER_TOKEN,
        first_k_dense_replace=1, norm_topk_prob=True, max_position_embeddings=8192)
    try:
        config._experts_implementation = "grouped_mm"
    except Exception as failure:
        print("experts as transformers chooses:", failure)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = DeepseekV3ForCausalLM(config)
    model = model.to_empty(device="cuda").eval()
    for parameter in [*model.parameters(), *model.buffers()]:
        if parameter.is_floating_point():
            parameter.data.normal_(0, 0.02)
    model.model.rotary_emb = type(model.model.rotary_emb)(config, device="cuda")
    torch.set_default_dtype(torch.float32)

    def seconds(work, count=5):
        times = []
        for _ in range(count + 2):
            torch.cuda.synchronize()
            start = time.perf_counter()
            work()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return sorted(times[2:])[count // 2]

    with torch.inference_mode():
        ids = torch.randint(0, VOCABULARY, (1, 4096), device="cuda")
        print(f"transformers, prompt of 4096 tokens: {seconds(lambda: model(ids, logits_to_keep=1)) * 1e3:.1f} ms", flush=True)
        for batch in (1, 8, 32):
            cache = DynamicCache(config=config)
            for first in range(0, 1000, 250):
                model(torch.randint(0, VOCABULARY, (batch, 250), device="cuda"), past_key_values=cache, logits_to_keep=1)
            token = torch.randint(0, VOCABULARY, (batch, 1), device="cuda")
            print(f"transformers, decode step of {batch} sequences: {seconds(lambda: model(token, past_key_values=cache), 15) * 1e3:.2f} ms", flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or ("grouped", "layers"):
        globals()[name]()
        torch.cuda.empty_cache()
