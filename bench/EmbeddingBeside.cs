using System.Diagnostics;
using System.Globalization;

namespace LocalLlm.Bench;

/// <summary>How long a token stream pauses while an embedding engine on the same device is never idle.</summary>
internal static class EmbeddingBeside
{
    private const int Tokens = 400;
    private const int TextTokens = 256;
    private const int FirstId = 10;
    private const int BatchesWaiting = 3;

    /// <summary>
    /// Measures the gaps between tokens with and without embeddings, in turns, and prints them with the time of an embedding step.
    /// </summary>
    /// <param name="model">A generator's folder.</param>
    /// <param name="encoder">An encoder's folder.</param>
    /// <param name="tokenizer">The encoder's tokenizer.</param>
    /// <param name="device">The device of both engines.</param>
    /// <param name="dtype">The type of both engines' computation.</param>
    /// <param name="batchTokens">Max number of tokens of an embedding step.</param>
    /// <param name="rounds">Number of turns.</param>
    public static async Task RunAsync(string model, string encoder, string tokenizer, string device, string dtype, int? batchTokens, int rounds)
    {
        await using var embedding = await EmbeddingEngine.LoadAsync(new() { ModelPath = encoder, TokenizerPath = tokenizer, Device = device, Dtype = dtype, MaxNumBatchedTokens = batchTokens });
        await using var engine = await LlmEngine.LoadAsync(new() { ModelPath = model, Device = device, Dtype = dtype, SkipTokenizerInit = true, MaxModelLen = 1024, KvCacheMemoryBytes = 1L << 28 });
        int[][] batch = [.. Enumerable.Range(0, Math.Max(1, (batchTokens ?? 2048) / TextTokens)).Select(text => Enumerable.Range(0, TextTokens).Select(i => FirstId + (((text * 31) + (i * 17)) % 3000)).ToArray())];
        await GapsAsync(engine);
        await embedding.EmbedTokensAsync(batch);
        var (alone, beside, steps, batches) = (new List<double>(), new List<double>(), new List<double>(), 0);
        for (var round = 0; round < rounds; round++)
        {
            alone.AddRange(await GapsAsync(engine));
            var start = Stopwatch.GetTimestamp();
            await embedding.EmbedTokensAsync(batch);
            steps.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            using var stop = new CancellationTokenSource();
            var busy = Enumerable.Range(0, BatchesWaiting).Select(_ => Task.Run(async () =>
            {
                var count = 0;
                for (; !stop.IsCancellationRequested; count++)
                    await embedding.EmbedTokensAsync(batch);
                return count;
            })).ToArray();
            beside.AddRange(await GapsAsync(engine));
            await stop.CancelAsync();
            batches += (await Task.WhenAll(busy)).Sum();
        }

        steps.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"an embedding step of {batch.Length * TextTokens} tokens alone: {steps[steps.Count / 2]:F2} ms (median); {batches} ran beside {rounds * Tokens} tokens"));
        Print("tokens alone", alone);
        Print("beside embeddings", beside);
    }

    private static async Task<List<double>> GapsAsync(LlmEngine engine)
    {
        var gaps = new List<double>();
        var last = 0L;
        await foreach (var _ in engine.GenerateAsync(GenerationRequest.FromTokenIds([.. Enumerable.Range(100, 16)], new SamplingParams { Temperature = 0, MaxTokens = Tokens, IgnoreEos = true })))
        {
            var now = Stopwatch.GetTimestamp();
            if (last > 0)
                gaps.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
            last = now;
        }

        return gaps;
    }

    private static void Print(string name, List<double> gaps)
    {
        gaps.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: gap p50 {gaps[gaps.Count / 2]:F2}, p99 {gaps[gaps.Count * 99 / 100]:F2}, longest {gaps[^1]:F2} ms"));
    }
}
