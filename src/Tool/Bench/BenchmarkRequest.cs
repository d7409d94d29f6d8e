namespace LocalLlm.Tool.Bench;

/// <summary>One request of a benchmark.</summary>
/// <param name="Prompt">Its token ids.</param>
/// <param name="OutputLen">Number of output tokens.</param>
internal readonly record struct BenchmarkRequest(int[] Prompt, int OutputLen);

/// <summary>The source of a benchmark's requests.</summary>
internal enum BenchmarkDataset
{
    /// <summary>Random ids; all prompts have one length, and all outputs have one length.</summary>
    Random,

    /// <summary>The requests of nano-vllm's bench.py, id for id: see <see cref="NanoVllmWorkload"/>.</summary>
    NanoVllm,
}
