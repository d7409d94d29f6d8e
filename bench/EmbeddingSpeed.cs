using System.Diagnostics;
using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>The embedding engine at bge-m3's shape, compared in each round with the rate of the same matrix products alone.</summary>
internal static class EmbeddingSpeed
{
    private const int Shortest = 20;
    private const int Longest = 500;

    // The first id that the tokenizer knows and that is not special.
    private const int FirstId = 10;
    private const int Ids = 4000;
    private const int Square = 8192;

    /// <summary>Runs interleaved rounds and prints medians and ratios.</summary>
    /// <param name="folder">Where the random weights are kept.</param>
    /// <param name="tokenizer">Any tokenizer of the family, because the texts are given as ids.</param>
    /// <param name="device">auto, cpu, cuda or cuda:N.</param>
    /// <param name="dtype">float32, bfloat16 or float16.</param>
    /// <param name="texts">Texts at once.</param>
    /// <param name="batchTokens">Max number of tokens of a step.</param>
    /// <param name="rounds">Interleaved rounds.</param>
    public static async Task RunAsync(string folder, string tokenizer, string device, string dtype, int texts, int? batchTokens, int rounds)
    {
        Probes.OnOwnThread(() =>
        {
            EncoderShape.WriteTo(folder);
            return 0;
        });
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = folder, TokenizerPath = tokenizer, Device = device, Dtype = dtype, MaxNumBatchedTokens = batchTokens });
        var random = new Random(0);
        int[][] inputs = [.. Enumerable.Range(0, texts).Select(_ => Enumerable.Range(0, random.Next(Shortest, Longest + 1)).Select(_ => FirstId + random.Next(Ids)).ToArray())];
        // For bench/embed_peer.py, which embeds texts of the same lengths.
        await File.WriteAllTextAsync(Path.Combine(folder, "lengths.txt"), string.Join('\n', inputs.Select(text => text.Length)));
        var tokens = inputs.Sum(text => text.Length);
        var operations = EncoderShape.Operations(inputs.Select(text => text.Length));
        var on = device == "cpu" || !cuda.is_available() ? CPU : CUDA;
        var type = dtype switch { "bfloat16" => ScalarType.BFloat16, "float16" => ScalarType.Float16, _ => ScalarType.Float32 };
        await engine.EmbedTokensAsync(inputs);
        var (ratios, seconds, rates, squares) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < rounds; round++)
        {
            var rate = Probes.OnOwnThread(() => Probes.ProductsRate(Math.Min(tokens, engine.MaxBatchedTokens), EncoderShape.Products, type, on));
            if (on.type == DeviceType.CUDA)
                squares.Add(Probes.OnOwnThread(() => Probes.ProductsRate(Square, [(Square, Square)], type, on)));
            var start = Stopwatch.GetTimestamp();
            await engine.EmbedTokensAsync(inputs);
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            rates.Add(rate);
            ratios.Add(operations / seconds[^1] / rate);
            Print($"round {round + 1}: {seconds[^1] * 1e3:F1} ms, {operations / seconds[^1] / 1e9:F0} GFLOP/s; the layer's products alone {rate / 1e9:F0} GFLOP/s");
        }

        Print($"bge-m3's shape, {dtype}, {texts} texts of {Shortest} to {Longest} tokens ({tokens} in all), {on.type}, medians of {rounds} rounds");
        Print($"| {Median(seconds) * 1e3:F1} ms | {tokens / Median(seconds):F0} tokens/s | {operations / Median(seconds) / 1e9:F0} of {Median(rates) / 1e9:F0} GFLOP/s (libtorch's products of those shapes) | {Median(ratios):P0} |");
        if (squares.Count > 0)
            Print($"| of the matrix rate ({Square} x {Square} x {Square}: {Median(squares) / 1e12:F0} TFLOP/s) | {operations / Median(seconds) / Median(squares):P0} |");
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
