namespace LocalLlm.Tool.Bench;

/// <summary>
/// The workload of nano-vllm's bench.py, for which several engines have published figures: 256 prompts of 100 to 1,024 random
/// ids, with outputs of 100 to 1,024 tokens. Python's generator with seed 0 draws them: 142,827 prompt tokens and 133,966 output
/// tokens.
/// </summary>
internal static class NanoVllmWorkload
{
    /// <summary>The temperature of every request.</summary>
    public const double Temperature = 0.6;

    private const int Requests = 256;
    private const int Shortest = 100;
    private const int Longest = 1024;
    private const int LargestId = 10_000;

    /// <summary>The requests.</summary>
    /// <param name="vocabularySize">Larger ids are folded back into the vocabulary.</param>
    public static IReadOnlyList<BenchmarkRequest> Create(int vocabularySize)
    {
        var random = new PythonRandom(0);
        var prompts = new int[Requests][];
        for (var i = 0; i < Requests; i++)
        {
            prompts[i] = new int[random.Next(Shortest, Longest)];
            for (var j = 0; j < prompts[i].Length; j++)
                prompts[i][j] = random.Next(0, LargestId) % vocabularySize;
        }

        return [.. prompts.Select(prompt => new BenchmarkRequest(prompt, random.Next(Shortest, Longest)))];
    }
}
