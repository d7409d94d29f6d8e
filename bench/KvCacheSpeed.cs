using System.Diagnostics;
using System.Globalization;

namespace LocalLlm.Bench;

/// <summary>Decoding at a long context with 8-bit floats in the KV cache beside the type of the computation, in interleaved rounds.</summary>
internal static class KvCacheSpeed
{
    private const int DecodeTokens = 24;

    /// <summary>Prints the medians of the time of a step; what the cache costs is the difference from a short context.</summary>
    public static async Task RunAsync(ModelShape shape, string folder, string dtype, int context, int sequences, int rounds)
    {
        Probes.OnOwnThread(() =>
        {
            shape.WriteTo(folder);
            return 0;
        });
        await using var plain = await LoadAsync(folder, dtype, "auto", context);
        await using var quantised = await LoadAsync(folder, dtype, "fp8", context);
        var reads = new List<double>();
        var times = new Dictionary<(string Cache, int Context), List<double>>();
        for (var round = -1; round < rounds; round++) // the first one computes the prompts and is not counted
        {
            reads.Add(Probes.OnOwnThread(Probes.ReadBandwidth));
            foreach (var (cache, engine) in ((string, LlmEngine)[])[("auto", plain), ("fp8", quantised)])
            {
                foreach (var length in (int[])[16, context])
                {
                    var time = await StepAsync(engine, length, sequences);
                    if (round >= 0)
                        (times.TryGetValue((cache, length), out var list) ? list : times[(cache, length)] = []).Add(time);
                }
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{shape.Name} {dtype}, {sequences} sequences, {rounds} rounds; memory read at {Median(reads) / 1e9:F1} GB/s; KV cache of a token {plain.Plan.BytesPerBlock / 16} and {quantised.Plan.BytesPerBlock / 16} bytes"));
        foreach (var cache in (string[])["auto", "fp8"])
        {
            var (small, large) = (Median(times[(cache, 16)]), Median(times[(cache, context)]));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{cache,5}: a step {small * 1e3:F2} ms at 16 tokens, {large * 1e3:F2} ms at {context} ({sequences / large:F1} tokens/s): attention {(large - small) * 1e3:F2} ms"));
        }
    }

    // Prompts come from the prefix cache but for the last block.
    private static async Task<double> StepAsync(LlmEngine engine, int context, int sequences)
    {
        var spans = await Task.WhenAll(Enumerable.Range(0, sequences).Select(async i =>
        {
            var (first, last) = (0L, 0L);
            var request = GenerationRequest.FromTokenIds([.. Enumerable.Range(i * 31, context).Select(id => id % 30_000)], new() { Temperature = 0, MaxTokens = DecodeTokens, IgnoreEos = true });
            await foreach (var output in engine.GenerateAsync(request))
            {
                last = Stopwatch.GetTimestamp();
                first = first == 0 ? last : first;
            }

            return (First: first, Last: last);
        }));
        return Stopwatch.GetElapsedTime(spans.Max(span => span.First), spans.Max(span => span.Last)).TotalSeconds / (DecodeTokens - 1);
    }

    private static Task<LlmEngine> LoadAsync(string folder, string dtype, string cache, int context) => LlmEngine.LoadAsync(new()
    {
        ModelPath = folder, Device = "cpu", Dtype = dtype, KvCacheDtype = cache, SkipTokenizerInit = true, MaxModelLen = context + DecodeTokens, KvCacheMemoryBytes = 1L << 30,
    });

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
