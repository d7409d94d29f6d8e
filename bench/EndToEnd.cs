using System.Diagnostics;
using System.Globalization;

namespace LocalLlm.Bench;

/// <summary>Decode, prefill and batching of the whole engine; every round also measures the machine's limits.</summary>
internal static class EndToEnd
{
    private const int DecodeTokens = 48;
    private const int PrefillTokens = 512;
    private const int Concurrency = 16;

    /// <summary>Runs interleaved rounds and prints medians and ratios.</summary>
    public static async Task RunAsync(ModelShape shape, string folder, int rounds)
    {
        Probes.OnOwnThread(() =>
        {
            shape.WriteTo(folder);
            return 0;
        });
        await using var engine = await LlmEngine.LoadAsync(new()
        {
            ModelPath = folder,
            Dtype = "bfloat16",
            SkipTokenizerInit = true,
            MaxModelLen = 4096,
            EnablePrefixCaching = false,
            KvCacheMemoryBytes = 1L << 30,
        });
        await DecodeAsync(engine, 1);
        await PrefillAsync(engine);

        var measured = new List<Round>();
        for (var i = 0; i < rounds; i++)
        {
            var round = new Round(
                Probes.OnOwnThread(Probes.ReadBandwidth),
                Probes.OnOwnThread(() => Probes.LinearRate(PrefillTokens, shape.Hidden, 2 * shape.Intermediate)),
                await DecodeAsync(engine, 1),
                await DecodeAsync(engine, Concurrency),
                await PrefillAsync(engine));
            measured.Add(round);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {i + 1}: read {round.Read / 1e9:F1} GB/s, linear {round.Linear / 1e9:F0} GFLOP/s, decode {round.Single:F1} tok/s, {Concurrency} at once {round.Batch:F1} tok/s, prefill {round.Prefill:F0} tok/s"));
        }

        var floor = Median(measured, round => round.Read / shape.BytesPerToken);
        Print($"{shape.Name} bf16, medians of {rounds} rounds, {Environment.ProcessorCount} threads");
        Print($"| decode, batch 1 | {Median(measured, r => r.Single):F1} tok/s | floor {floor:F1} tok/s (read bandwidth / {shape.BytesPerToken / 1e9:F2} GB) | {Median(measured, r => r.Single / (r.Read / shape.BytesPerToken)):P0} |");
        Print($"| prefill, {PrefillTokens} tokens | {Median(measured, r => r.Prefill):F0} tok/s | {Median(measured, r => 2 * shape.BodyParameters * r.Prefill / 1e9):F0} of {Median(measured, r => r.Linear / 1e9):F0} GFLOP/s (bf16 linear) | {Median(measured, r => 2 * shape.BodyParameters * r.Prefill / r.Linear):P0} |");
        Print($"| {Concurrency} requests at once | {Median(measured, r => r.Batch):F1} tok/s | one request {Median(measured, r => r.Single):F1} tok/s | {Median(measured, r => r.Batch / r.Single):F1}x |");
    }

    // Output tokens per second of all sequences together, between the first and the last token.
    internal static async Task<double> DecodeAsync(LlmEngine engine, int sequences)
    {
        var requests = Enumerable.Range(0, sequences).Select(i => Request([.. Enumerable.Range(i * 31, 16)], DecodeTokens));
        var spans = await Task.WhenAll(requests.Select(async request =>
        {
            var (first, last) = (0L, 0L);
            await foreach (var output in engine.GenerateAsync(request))
            {
                last = Stopwatch.GetTimestamp();
                first = first == 0 ? last : first;
            }

            return (First: first, Last: last);
        }));
        return sequences * (DecodeTokens - 1) / Stopwatch.GetElapsedTime(spans.Max(span => span.First), spans.Max(span => span.Last)).TotalSeconds;
    }

    internal static async Task<double> PrefillAsync(LlmEngine engine)
    {
        var start = Stopwatch.GetTimestamp();
        await engine.CompleteAsync(Request([.. Enumerable.Range(100, PrefillTokens)], 1));
        return PrefillTokens / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static GenerationRequest Request(int[] ids, int maxTokens) =>
        GenerationRequest.FromTokenIds(ids, new SamplingParams { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true });

    private static double Median(List<Round> rounds, Func<Round, double> value)
    {
        var sorted = rounds.Select(value).Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private readonly record struct Round(double Read, double Linear, double Single, double Batch, double Prefill);
}
