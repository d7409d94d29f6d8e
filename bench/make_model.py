"""Writes a Hugging Face folder with random bfloat16 weights in the shape of a real model, for benchmarks.

python3 bench/make_model.py SHAPE FOLDER      (needs torch and safetensors; creates the weights on a GPU if there is one)
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file

QWEN2 = dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", rms_norm_eps=1e-6, max_position_embeddings=131072)
LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", rms_norm_eps=1e-5, max_position_embeddings=131072)
SHAPES = {
    "qwen2-0.5b": dict(QWEN2, hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, intermediate_size=4864,
                       vocab_size=151936, rope_theta=1e6, tie_word_embeddings=True),
    "r1-distill-qwen-1.5b": dict(QWEN2, hidden_size=1536, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2,
                                 intermediate_size=8960, vocab_size=151936, rope_theta=1e4, tie_word_embeddings=False),
    "r1-distill-qwen-7b": dict(QWEN2, hidden_size=3584, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
                               intermediate_size=18944, vocab_size=152064, rope_theta=1e4, tie_word_embeddings=False),
    "r1-distill-qwen-32b": dict(QWEN2, hidden_size=5120, num_hidden_layers=64, num_attention_heads=40, num_key_value_heads=8,
                                intermediate_size=27648, vocab_size=152064, rope_theta=1e6, tie_word_embeddings=False),
    "r1-distill-llama-8b": dict(LLAMA, hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
                                intermediate_size=14336, vocab_size=128256, rope_theta=5e5, tie_word_embeddings=False),
}
SHARD_BYTES = 4 << 30


def tensors(config):
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = hidden // config["num_attention_heads"]
    key = config["num_key_value_heads"] * head
    bias = config["model_type"] == "qwen2"
    yield "model.embed_tokens.weight", (vocab, hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name, rows in (("q", hidden), ("k", key), ("v", key)):
            yield f"{prefix}self_attn.{name}_proj.weight", (rows, hidden)
            if bias:
                yield f"{prefix}self_attn.{name}_proj.bias", (rows,)
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden)
        yield prefix + "mlp.gate_proj.weight", (inner, hidden)
        yield prefix + "mlp.up_proj.weight", (inner, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, inner)
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocab, hidden)


def main():
    shape, folder = sys.argv[1:3]
    config = dict(SHAPES[shape], torch_dtype="bfloat16", hidden_act="silu", bos_token_id=0, eos_token_id=1)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    index, shard, size, count = {}, {}, 0, 0

    def flush():
        nonlocal shard, size, count
        count += 1
        name = f"model-{count:05d}.safetensors"
        save_file(shard, os.path.join(folder, name), metadata={"format": "pt"})
        index.update({key: name for key in shard})
        shard, size = {}, 0

    for name, dims in tensors(config):
        weight = torch.randn(dims, device=device, dtype=torch.bfloat16)
        weight = 1 + 0.1 * weight if "norm" in name else weight * (dims[-1] ** -0.5 if len(dims) == 2 else 0.1)
        shard[name] = weight.to(torch.bfloat16).cpu()
        size += weight.numel() * 2
        if size >= SHARD_BYTES:
            flush()
    if shard:
        flush()
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": index}, file)


main()
