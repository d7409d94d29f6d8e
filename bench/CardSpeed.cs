using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Decode steps and prompts of a model over several cards, in this process or behind <c>localllm serve</c>, compared with their floor: the
/// bytes that a card has to read divided by the copy rate, plus the sums between the cards. The copy rate and the sums are measured in the
/// same run.
/// </summary>
internal static class CardSpeed
{
    private const int MaxTokens = 16_384;
    private const int StepTokens = 8192;

    /// <summary>Prints the figures.</summary>
    public static async Task RunAsync(CardSpeedOptions options)
    {
        var limits = MeasureLimits(options);
        Print($"{options.Shape.Name}, -tp {options.TensorParallel} -pp {options.PipelineParallel}, {options.Backend}");
        Print($"a card copies {limits.Bytes / 1e9:F0} GB/s and multiplies at {limits.Operations / 1e12:F0} TFLOP/s");
        var folder = Directory.CreateTempSubdirectory("localllm-cards-");
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder.FullName, "config.json"), JsonSerializer.Serialize(options.Shape.Config));
            var start = Stopwatch.GetTimestamp();
            var loading = options.Backend == "engine" ? LoadAsync(options, folder.FullName) : ServeAsync(options, folder.FullName);
            await using var model = await loading;
            Print($"loaded in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s");
            await MeasureAsync(options, model, limits);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task MeasureAsync(CardSpeedOptions options, Model model, Limits limits)
    {
        var random = new Random(1);
        var steps = options.Batches.ToDictionary(batch => batch, _ => new List<double>());
        var prompts = CardSpeedOptions.Prefills.ToDictionary(tokens => tokens, _ => new List<double>());
        for (var round = 0; round <= options.Rounds; round++)
        {
            foreach (var (batch, seconds) in steps)
            {
                var brief = await TimeAsync(model, options.Shape, batch, CardSpeedOptions.Prompt, CardSpeedOptions.ShortAnswer, random);
                var whole = await TimeAsync(model, options.Shape, batch, CardSpeedOptions.Prompt, CardSpeedOptions.LongAnswer, random);
                seconds.Add((whole - brief) / (CardSpeedOptions.LongAnswer - CardSpeedOptions.ShortAnswer));
            }

            foreach (var (tokens, seconds) in prompts)
                seconds.Add(await TimeAsync(model, options.Shape, 1, tokens, 1, random));
            if (round > 0)
                continue;
            // The first round warms up.
            foreach (var seconds in steps.Values.Concat(prompts.Values))
                seconds.Clear();
        }

        foreach (var (batch, seconds) in steps)
        {
            var (read, sums) = (options.StepBytes(batch) / limits.Bytes, options.Sums * limits.Sums.GetValueOrDefault(batch));
            var step = Median(seconds);
            var (low, high) = (seconds.Min(), seconds.Max());
            Print($"| decode, {batch} sequences | {step * 1e3:F3} ms ({low * 1e3:F3} to {high * 1e3:F3})");
            Print($"    | floor {read * 1e3:F3} + sums {sums * 1e3:F3} ms | {(read + sums) / step:F2} | {batch / step:F0} tokens/s |");
        }

        foreach (var (tokens, seconds) in prompts)
        {
            var (floor, time) = (options.PromptOperations(tokens) / limits.Operations, Median(seconds));
            Print($"| prompt of {tokens} tokens | {time * 1e3:F1} ms ({seconds.Min() * 1e3:F1} to {seconds.Max() * 1e3:F1})");
            Print($"    | at the matrix rate {floor * 1e3:F1} ms | {floor / time:F2} | {tokens / time:F0} tokens/s |");
        }
    }

    private static async Task<double> TimeAsync(Model model, ModelShape shape, int sequences, int prompt, int answer, Random random)
    {
        int[] Prompt() => [.. Enumerable.Range(0, prompt).Select(_ => random.Next(2, shape.Vocabulary))];
        int[][] prompts = [.. Enumerable.Range(0, sequences).Select(_ => Prompt())];
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(prompts.Select(ids => model.CompleteAsync(ids, answer)));
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static Limits MeasureLimits(CardSpeedOptions options)
    {
        Limits? measured = null;
        var probe = new Thread(() =>
        {
            TorchLibrary.EnsureLoaded();
            using var noGradients = inference_mode();
            using var ops = (CudaOps)DeviceRegistry.Create("cuda:0");
            measured = new(
                GpuClock.CopyRate(ops),
                GpuClock.MatrixRate(ops),
                options.TensorParallel == 1
                    ? new Dictionary<int, double>()
                    : CollectiveSpeed.SumSeconds(options.TensorParallel, options.Shape.Hidden, options.Batches));
        });
        probe.Start();
        probe.Join();
        return measured ?? throw new InvalidOperationException("The cards' limits could not be measured.");
    }

    private static async Task<Model> LoadAsync(CardSpeedOptions options, string folder)
    {
        var engine = await LlmEngine.LoadAsync(new()
        {
            ModelPath = folder,
            LoadFormat = "dummy",
            SkipTokenizerInit = true,
            Device = "cuda",
            TensorParallel = options.TensorParallel,
            PipelineParallel = options.PipelineParallel,
            MaxModelLen = MaxTokens,
            MaxNumBatchedTokens = StepTokens,
            EnablePrefixCaching = false,
        });
        return new(
            (prompt, tokens) => engine.CompleteAsync(
                GenerationRequest.FromTokenIds(prompt, new SamplingParams { Temperature = 0, MaxTokens = tokens, IgnoreEos = true })),
            engine);
    }

    private static async Task<Model> ServeAsync(CardSpeedOptions options, string folder)
    {
        var server = await ServerProcess.StartAsync(
            folder,
            "cuda",
            "--load-format", "dummy", "--tokenizer", Path.Combine("models", "tiny-r1"),
            "-tp", Text(options.TensorParallel), "-pp", Text(options.PipelineParallel), "--distributed-executor-backend", options.Backend,
            "--max-model-len", Text(MaxTokens), "--max-num-batched-tokens", Text(StepTokens), "--no-enable-prefix-caching");
        var client = new HttpClient { BaseAddress = new($"http://127.0.0.1:{server.Port}"), Timeout = TimeSpan.FromMinutes(5) };
        return new(
            async (prompt, tokens) =>
            {
                var body = new { prompt, max_tokens = tokens, ignore_eos = true, temperature = 0 };
                using var answer = await client.PostAsJsonAsync("/v1/completions", body);
                answer.EnsureSuccessStatusCode();
                await answer.Content.ReadAsByteArrayAsync();
            },
            server);
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    // A model that completes prompts, in this process or in a server; owns its engine or server.
    private sealed class Model(Func<int[], int, Task> complete, IAsyncDisposable owned) : IAsyncDisposable
    {
        public Task CompleteAsync(int[] prompt, int tokens) => complete(prompt, tokens);

        public ValueTask DisposeAsync() => owned.DisposeAsync();
    }

    // Bytes and operations per second of a card, and seconds of a sum by its number of rows.
    private sealed record Limits(double Bytes, double Operations, IReadOnlyDictionary<int, double> Sums);
}
