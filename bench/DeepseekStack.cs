using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Planning;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>
/// Layers of DeepSeek-V3 with random weights, run by the whole engine: decode steps compared with the time to read their weights, and a
/// prompt compared with the rate of matrix products. Both rates are measured before the engine is loaded.
/// </summary>
internal static class DeepseekStack
{
    private const int WholeDense = 3;
    private const int WholeMixtures = 58;
    private const int WholeVocabulary = 129_280;
    private const int Cards = 8;
    private const int WarmUpSteps = 8;
    private const string Bfloat16Rate = "the rate of libtorch's bfloat16 products";
    private const string Fp8Rate = "the FP8 rate, taken as twice that of cuBLAS's bfloat16 products";
    private static readonly int[] s_batches = [1, 8, 32];

    /// <summary>Prints the figures.</summary>
    public static async Task RunAsync(DeepseekStackOptions stack)
    {
        var limits = MeasureLimits(stack);
        Print($"memory {limits.Bytes / 1e9:F1} GB/s ({limits.BytesText})");
        Print($"products {limits.Operations / 1e12:F3} TFLOP/s ({limits.OperationsText})");
        var folder = Directory.CreateTempSubdirectory("localllm-deepseek-");
        try
        {
            var config = stack.Shape.Config(stack.Dense, stack.Mixtures, stack.Vocabulary);
            await File.WriteAllTextAsync(Path.Combine(folder.FullName, "config.json"), config.ToJsonString());
            await MeasureAsync(stack, folder.FullName, limits);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static async Task MeasureAsync(DeepseekStackOptions stack, string folder, Limits limits)
    {
        var start = Stopwatch.GetTimestamp();
        await using var engine = await LlmEngine.LoadAsync(new()
        {
            ModelPath = folder,
            LoadFormat = "dummy",
            SkipTokenizerInit = true,
            Device = stack.Device,
            TensorParallel = stack.TensorParallel,
            EnableExpertParallel = stack.ExpertParallel,
            Dtype = "bfloat16",
            MaxModelLen = Math.Max(stack.Prompt, stack.Context + stack.Steps + stack.Lead(s_batches[^1])) + 1,
            MaxNumBatchedTokens = stack.StepTokens,
            MaxNumSeqs = s_batches[^1],
            EnablePrefixCaching = false,
            KvCacheMemoryBytes = 1L << 30,
        });
        var (loaded, plan) = (Stopwatch.GetElapsedTime(start), engine.Plan);
        using var process = Process.GetCurrentProcess();
        Print($"{stack.Dense} dense layers and {stack.Mixtures} with experts, a vocabulary of {stack.Vocabulary}");
        Print($"tensor parallel {stack.TensorParallel}{(stack.ExpertParallel ? ", each rank with whole experts" : "")}");
        Print($"loaded in {loaded.TotalSeconds:F1} s, {engine.Dtype}");
        var counted = stack.Shape.StepBytes(stack.Dense, stack.Mixtures, 0, 0, stack.Shape.Experts)
            + (2 * stack.Shape.HeadBytes(stack.Vocabulary)); // and the embedding
        Print($"weights {plan.WeightBytes / 1e9:F2} GB ({counted / 1e9:F2} by their shapes)");
        Print($"activations {plan.ActivationBytes / 1e9:F2} GB, KV cache {plan.KvCacheBytes / 1e9:F2} GB, {plan.KvCacheTokens} tokens");
        Print($"memory of the host, at most {process.PeakWorkingSet64 / 1e9:F2} GB");
        var random = new Random(1);
        foreach (var batch in s_batches)
            await DecodeAsync(engine, stack with { Steps = WarmUpSteps }, batch, random);
        await PrefillAsync(engine, stack, random);
        if (stack.IsProfiled)
        {
            using var profiled = new ProfiledRange();
            await PrefillAsync(engine, stack, random);
            await DecodeAsync(engine, stack with { Steps = 1 }, 1, random);
            return;
        }

        var gaps = s_batches.ToDictionary(batch => batch, _ => new List<double>());
        var prompts = new List<double>();
        for (var round = 0; round < stack.Rounds; round++)
        {
            foreach (var batch in s_batches)
                gaps[batch].AddRange(await DecodeAsync(engine, stack, batch, random));
            prompts.Add(await PrefillAsync(engine, stack, random));
        }

        Print($"decode at a context of {stack.Context} tokens, {stack.Rounds} times {stack.Steps} steps: median (10th to 90th percentile)");
        foreach (var batch in s_batches)
            PrintDecode(stack, batch, gaps[batch], limits);
        PrintPrefill(stack, prompts, limits);
        if (engine.Statistics.ExpertBalance is { } balance)
            Print($"tokens of the mean expert over those of the busiest: {balance:F2}");
    }

    private static void PrintDecode(DeepseekStackOptions stack, int batch, List<double> gaps, Limits limits)
    {
        var (shape, active) = (stack.Shape, stack.Shape.ActiveExperts(batch));
        var body = shape.StepBytes(stack.Dense, stack.Mixtures, batch, stack.Context, active, stack.TensorParallel) / limits.Bytes;
        var head = shape.HeadBytes(stack.Vocabulary) / stack.TensorParallel / limits.Bytes;
        var (step, share) = (Quantile(gaps, 0.5), (body + head) / Quantile(gaps, 0.5));
        var (low, high) = (Quantile(gaps, 0.1), Quantile(gaps, 0.9));
        Print($"batch {batch}: {step * 1e3:F3} ms a step ({low * 1e3:F3} to {high * 1e3:F3}), {batch / step:F0} tokens/s");
        Print($"    floor {(body + head) * 1e3:F3} ms: {share:P0}; {body * 1e3:F3} ms without the output head");
        Print($"    {active:F1} of {shape.Experts} experts of a layer in a step, as is to be expected if all are equally likely");
        if (shape != DeepseekShape.V3 || stack.TensorParallel > 1)
            return;
        // The eight ranks sum after the attention and the MLP of each layer and after the embedding, and gather the logits.
        var bytes = shape.StepBytes(WholeDense, WholeMixtures, batch, stack.Context, active, Cards);
        var floor = (bytes + (shape.HeadBytes(WholeVocabulary) / Cards)) / limits.Bytes;
        const int layers = WholeDense + WholeMixtures;
        const int sums = (2 * layers) + 2;
        var sum = AllReduceTimes.Seconds((long)batch * shape.Hidden * sizeof(short));
        Print($"    predicted, not measured: {WholeDense} dense layers and {WholeMixtures} with experts, split over {Cards} such cards");
        Print($"        floor {floor * 1e3:F2} ms + {sums} sums x {sum * 1e6:F1} us = {(floor + (sums * sum)) * 1e3:F2} ms a step");
        Print($"        at the share of the floor measured here {((floor / share) + (sums * sum)) * 1e3:F2} ms");
        Print($"        if no layer takes less time than those here {layers * step / stack.Layers * 1e3:F2} ms");
    }

    private static void PrintPrefill(DeepseekStackOptions stack, List<double> prompts, Limits limits)
    {
        var seconds = Quantile(prompts, 0.5);
        var operations = stack.Shape.PromptOperations(stack.Dense, stack.Mixtures, stack.Prompt);
        var experts = stack.Shape.ActiveExperts(stack.Prompt);
        var reading = stack.Shape.StepBytes(stack.Dense, stack.Mixtures, 1, stack.Prompt, experts, stack.TensorParallel) / limits.Bytes;
        var floor = operations / stack.TensorParallel / limits.Operations;
        Print($"prefill, {stack.Prompt} tokens in one step: {seconds * 1e3:F1} ms ({prompts.Min() * 1e3:F1} to {prompts.Max() * 1e3:F1})");
        Print($"    {stack.Prompt / seconds:F0} tokens/s; {operations / 1e12:F3} T operations, {operations / seconds / 1e12:F2} TFLOP/s");
        Print($"    floor {floor * 1e3:F1} ms (operations over {limits.OperationsText}): {floor / seconds:P0}");
        Print($"    reading the weights takes {reading * 1e3:F1} ms");
    }

    private static Limits MeasureLimits(DeepseekStackOptions stack)
    {
        Limits? measured = null;
        var probe = new Thread(() =>
        {
            TorchLibrary.EnsureLoaded();
            using var noGradients = inference_mode();
            var ops = DeviceRegistry.Create(stack.Device);
            using var owned = ops as IDisposable;
            measured = ops is CudaOps cuda
                ? new(GpuClock.CopyRate(cuda), "a large array changed in place", 2 * GpuClock.MatrixRate(cuda), Fp8Rate)
                : new(Probes.ReadBandwidth(), "read by all threads", Probes.LinearRate(512, 2048, 2048), Bfloat16Rate);
        });
        probe.Start();
        probe.Join();
        return measured ?? throw new InvalidOperationException($"The limits of {stack.Device} could not be measured.");
    }

    // Seconds between successive tokens of one sequence, while all sequences decode.
    private static async Task<List<double>> DecodeAsync(LlmEngine engine, DeepseekStackOptions stack, int sequences, Random random)
    {
        var maxTokens = stack.Steps + stack.Lead(sequences);
        var requests = Enumerable.Range(0, sequences)
            .Select(_ => Request(stack.DecodePrompt, stack.Vocabulary, maxTokens, random)).ToList();
        var stamps = await Task.WhenAll(requests.Select(async request =>
        {
            var tokens = new List<long>();
            await foreach (var output in engine.GenerateAsync(request))
            {
                output.ThrowIfFailed();
                if (output.TokenIds.Count > 0)
                    tokens.Add(Stopwatch.GetTimestamp());
            }

            return tokens;
        }));
        var (begin, end) = (stamps.Max(tokens => tokens[0]), stamps.Min(tokens => tokens[^1]));
        // The sequence that is admitted last decodes longest.
        var whole = stamps.MaxBy(tokens => tokens[0])!.Where(stamp => stamp >= begin && stamp <= end).ToList();
        return [.. whole.Skip(1).Zip(whole, (later, earlier) => Stopwatch.GetElapsedTime(earlier, later).TotalSeconds)];
    }

    private static async Task<double> PrefillAsync(LlmEngine engine, DeepseekStackOptions stack, Random random)
    {
        var request = Request(stack.Prompt, stack.Vocabulary, 1, random);
        var start = Stopwatch.GetTimestamp();
        await engine.CompleteAsync(request);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static GenerationRequest Request(int prompt, int vocabulary, int maxTokens, Random random) => GenerationRequest.FromTokenIds(
        [.. Enumerable.Range(0, prompt).Select(_ => random.Next(vocabulary))],
        new SamplingParams { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true });

    private static double Quantile(List<double> values, double part) =>
        values.Order().ElementAt((int)Math.Round(part * (values.Count - 1)));

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    // Bytes and operations per second.
    private sealed record Limits(double Bytes, string BytesText, double Operations, string OperationsText);
}
