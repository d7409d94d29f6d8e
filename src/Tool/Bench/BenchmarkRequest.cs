namespace LocalLlm.Tool.Bench;

/// <summary>One request of a benchmark.</summary>
/// <param name="Prompt">Its token ids.</param>
/// <param name="OutputLen">Tokens of its answer.</param>
internal readonly record struct BenchmarkRequest(int[] Prompt, int OutputLen);

/// <summary>Where the requests of the throughput benchmark come from.</summary>
internal enum BenchmarkDataset
{
    /// <summary>Random ids; every prompt and every answer of one length.</summary>
    Random,

    /// <summary>The requests of nano-vllm's bench.py, id for id: see <see cref="NanoVllmWorkload"/>.</summary>
    NanoVllm,
}
