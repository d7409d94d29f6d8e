"""libtorch's _scaled_mm (cuBLAS) at DeepSeek-V3's shapes, in CUDA graphs: the peer of `deepseek-kernels`. Needs PyTorch with CUDA 12.9 or newer."""
import time

import torch

REPEATS, REPLAYS = 20, 20
SHAPES = [(2112, 7168), (24576, 1536), (7168, 16384), (7168, 2048), (36864, 7168), (7168, 18432), (4096, 7168)]
ROWS = (8, 16, 32, 64, 128, 512, 2048, 4096)


def microseconds(body):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for i in range(3):
            body(i)
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(REPEATS):
            body(i)
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(REPLAYS):
        graph.replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / (REPEATS * REPLAYS) * 1e6


def main():
    torch.manual_seed(0)
    buffer = torch.zeros(1 << 28, device="cuda")
    print(f"a large array changed in place: {2 * buffer.numel() * 4 / microseconds(lambda i: buffer.neg_()) / 1e3:.0f} GB/s")
    for outputs, inputs in SHAPES:
        # So many matrices that the card's own cache holds none of them.
        copies = max(1, min(REPEATS, (200 << 20) // (outputs * inputs)))
        weights = [torch.randint(0, 120, (outputs, inputs), dtype=torch.uint8, device="cuda").view(torch.float8_e4m3fn) for _ in range(copies)]
        weight_scales = torch.ones((outputs + 127) // 128, inputs // 128, device="cuda").t()
        line = []
        for rows in ROWS:
            x = torch.randn(rows, inputs, device="cuda").to(torch.float8_e4m3fn)
            scales = torch.ones(inputs // 128, rows, device="cuda").t()
            line.append(microseconds(lambda i: torch._scaled_mm(
                x, weights[i % copies].t(), scale_a=scales, scale_b=weight_scales, out_dtype=torch.bfloat16)))
        print(f"[{inputs} -> {outputs}]", " | ".join(f"{rows}: {time:.1f} us" for rows, time in zip(ROWS, line)), flush=True)


if __name__ == "__main__":
    main()
