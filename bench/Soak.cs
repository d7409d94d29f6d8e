using System.Diagnostics;
using System.Globalization;
using LocalLlm.Interop.Cuda;

namespace LocalLlm.Bench;

/// <summary>
/// Minutes of mixed load: requests of many kinds and lengths, callers that leave, requests that must be refused, and a KV cache too small
/// for all of them, so that sequences are preempted. Memory must stay flat, and every block must be free at the end.
/// </summary>
internal static class Soak
{
    private const int Clients = 96;
    private const int LongestPrompt = 1500;
    private const int LongestOutput = 400;

    // An eighth of the blocks that all clients together may need.
    private const int Blocks = Clients * (LongestPrompt + LongestOutput) / 16 / 8;

    /// <summary>Runs the load and prints a line every <paramref name="reportEvery"/>.</summary>
    /// <returns>False if memory grew, a block was lost, or a response was wrong.</returns>
    public static async Task<bool> RunAsync(string folder, string device, TimeSpan duration, TimeSpan reportEvery)
    {
        await using var engine = await LlmEngine.LoadAsync(new()
        {
            ModelPath = folder,
            Device = device,
            SkipTokenizerInit = true,
            MaxModelLen = LongestPrompt + LongestOutput,
            MaxNumSeqs = 64,
            NumGpuBlocksOverride = Blocks,
        });
        var counts = new Counts();
        using var stop = new CancellationTokenSource();
        var clients = Enumerable.Range(0, Clients).Select(seed => Task.Run(() => ClientAsync(engine, new Random(seed), counts, stop.Token))).ToArray();

        var lines = new List<Reading>();
        var watch = Stopwatch.StartNew();
        Console.WriteLine("seconds  host MiB  managed MiB  device MiB    tokens  finished  aborted  refused  preempted  prefix hits");
        while (watch.Elapsed < duration)
        {
            await Task.Delay(reportEvery);
            lines.Add(Reading.Take(watch.Elapsed));
            var statistics = engine.Statistics;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{lines[^1].Seconds,7:F0} {lines[^1].HostMiB,9:F0} {lines[^1].ManagedMiB,12:F1} {lines[^1].DeviceMiB,11:F0} {statistics.GeneratedTokens,9} {counts.Finished,9} {counts.Aborted,8} {counts.Refused,8} {statistics.Preemptions,10} {statistics.PrefixCacheHits,12}"));
        }

        await stop.CancelAsync();
        await Task.WhenAll(clients);
        // Some aborts are not handled yet; the engine is idle when the last one is.
        while (engine.Statistics is { Running: > 0 } or { Waiting: > 0 })
            await Task.Delay(10);
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([1, 2, 3], new() { MaxTokens = 1 }));
        var lost = engine.Statistics.KvBlocksTotal - engine.Statistics.KvBlocksFree;
        return Judge(lines, counts, lost);
    }

    private static bool Judge(List<Reading> lines, Counts counts, int lost)
    {
        // The first quarter warms up; the first and the last third of the rest are compared.
        var rest = lines[(lines.Count / 4)..];
        var third = Math.Max(1, rest.Count / 3);
        double Growth(Func<Reading, double> of) => rest[^third..].Average(of) - rest[..third].Average(of);
        var (host, managed, device) = (Growth(line => line.HostMiB), Growth(line => line.ManagedMiB), Growth(line => line.DeviceMiB));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"growth from the first to the last third, MiB: host {host:F1}, managed {managed:F1}, device {device:F1}; blocks lost: {lost}; wrong answers: {counts.Wrong}"));
        return lost == 0 && counts.Wrong == 0 && managed < 16 && host < 64 && device < 1;
    }

    private static async Task ClientAsync(LlmEngine engine, Random random, Counts counts, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                if (random.Next(20) == 0)
                    await RefusedAsync(engine, random, counts);
                else
                    await OneAsync(engine, random, counts, stop);
            }
            catch (OperationCanceledException)
            {
                counts.AddAborted();
            }
        }
    }

    private static async Task OneAsync(LlmEngine engine, Random random, Counts counts, CancellationToken stop)
    {
        var (length, outputs) = (random.Next(1, LongestPrompt), random.Next(1, LongestOutput));
        // Some prompts begin alike, for the prefix cache.
        var prompt = new int[length];
        var kind = random.Next(4);
        for (var i = 0; i < length; i++)
            prompt[i] = i < 600 ? (kind * 1000) + (i % 1000) : random.Next(4000);
        var sampling = new SamplingParams { MaxTokens = outputs, IgnoreEos = true };
        sampling = random.Next(8) switch
        {
            0 => sampling with { Temperature = 0 },
            1 => sampling with { TopP = 0.9, TopK = 40 },
            2 => sampling with { FrequencyPenalty = 0.5, RepetitionPenalty = 1.1 },
            3 => sampling with { Logprobs = 3 },
            4 => sampling with { N = 3, MaxTokens = Math.Min(outputs, 50) },
            5 => sampling with { PromptLogprobs = 1 },
            6 => sampling with { LogitBias = new Dictionary<int, double> { [5] = 3 }, MinP = 0.05 },
            _ => sampling with { Seed = 7 },
        };

        // One caller in four leaves: before the first token, or at any later one.
        var leaveAfter = random.Next(4) == 0 ? random.Next(outputs) : int.MaxValue;
        var tokens = 0;
        await foreach (var output in engine.GenerateAsync(GenerationRequest.FromTokenIds(prompt, sampling), stop))
        {
            tokens += output.TokenIds.Count;
            if (output.FinishReason == FinishReason.Error)
                counts.AddWrong();
            if (tokens < leaveAfter)
                continue;
            counts.AddAborted();
            return;
        }

        if (tokens != sampling.MaxTokens * sampling.N)
            counts.AddWrong();
        counts.AddFinished();
    }

    private static async Task RefusedAsync(LlmEngine engine, Random random, Counts counts)
    {
        var (prompt, sampling) = random.Next(5) switch
        {
            0 => (new int[LongestPrompt + LongestOutput], new SamplingParams()),
            1 => ([1], new SamplingParams { Temperature = 9 }),
            2 => ([1 << 30], new SamplingParams()),
            3 => ([], new SamplingParams()),
            _ => (new[] { 1 }, new SamplingParams { MaxTokens = 0, TopP = 7 }),
        };
        try
        {
            await engine.CompleteAsync(GenerationRequest.FromTokenIds(prompt, sampling));
            counts.AddWrong();
        }
        catch (EngineException)
        {
            counts.AddRefused();
        }
    }

    private sealed class Counts
    {
        private int _finished, _aborted, _refused, _wrong;

        public int Finished => _finished;

        public int Aborted => _aborted;

        public int Refused => _refused;

        public int Wrong => _wrong;

        public void AddFinished() => Interlocked.Increment(ref _finished);

        public void AddAborted() => Interlocked.Increment(ref _aborted);

        public void AddRefused() => Interlocked.Increment(ref _refused);

        public void AddWrong() => Interlocked.Increment(ref _wrong);
    }

    private readonly record struct Reading(double Seconds, double HostMiB, double ManagedMiB, double DeviceMiB)
    {
        private const double MiB = 1 << 20;

        public static Reading Take(TimeSpan elapsed)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return new(elapsed.TotalSeconds, Environment.WorkingSet / MiB, GC.GetTotalMemory(true) / MiB, DeviceUsed() / MiB);
        }

        // Returns 0 without a card. Uses the primary context, which is the engine's.
        private static unsafe long DeviceUsed()
        {
            int device;
            IntPtr context;
            nuint free, total;
            try
            {
                if (CudaDriver.cuInit(0) != 0 || CudaDriver.cuDeviceGet(&device, 0) != 0 || CudaDriver.cuDevicePrimaryCtxRetain(&context, device) != 0)
                    return 0;
            }
            catch (DllNotFoundException)
            {
                return 0;
            }

            return CudaDriver.cuCtxSetCurrent(context) == 0 && CudaDriver.cuMemGetInfo_v2(&free, &total) == 0 ? (long)(total - free) : 0;
        }
    }
}
