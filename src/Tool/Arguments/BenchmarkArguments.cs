using System.CommandLine;
using LocalLlm.Tool.Bench;

namespace LocalLlm.Tool.Arguments;

/// <summary>The benchmarks.</summary>
[Flags]
internal enum Benchmarks
{
    /// <summary>All prompts at once.</summary>
    Throughput = 1,

    /// <summary>One batch after the other.</summary>
    Latency = 2,

    /// <summary>Requests that arrive at a rate.</summary>
    Serve = 4,
}

/// <summary>The options of the benchmarks, with the names of <c>vllm bench</c>.</summary>
internal sealed class BenchmarkArguments
{
    private readonly Option<int?> _inputLen = Options.Count(
        "--input-len",
        "Tokens of every prompt; default 32 (latency), 128 (throughput), 1,024 (serve).");
    private readonly Option<int?> _outputLen = Options.Count("--output-len", "Tokens of every answer; default 128.");
    private readonly Option<int?> _numPrompts = Options.Count("--num-prompts", "Requests; default 64 (throughput), 1,000 (serve).");
    private readonly Option<BenchmarkDataset?> _dataset = Options.Choice(
        "--dataset-name",
        "Random ids of one length (default), or nano-vllm's 256 requests of 100 to 1,024 tokens, id for id.",
        ("random", BenchmarkDataset.Random),
        ("nano-vllm", BenchmarkDataset.NanoVllm));
    private readonly Option<double?> _requestRate = Options.Rate("--request-rate", "Requests a second that arrive; default inf: all at once.");
    private readonly Option<double?> _burstiness = Options.Number("--burstiness", "Shape of the gaps between arrivals: 1 (default) is a Poisson process, less comes in bursts, more is steadier.");
    private readonly Option<int?> _maxConcurrency = Options.Count("--max-concurrency", "Maximum number of concurrent requests; waiting time counts; default: no limit.");
    private readonly Option<int?> _batchSize = Options.Count("--batch-size", "Latency: prompts of one batch; default 8.");
    private readonly Option<int?> _numIters = Options.Count("--num-iters", "Latency: batches that are measured; default 10.");
    private readonly Option<double?> _temperature = Options.Number("--temperature", "Of every request; default 1 (0.6 of nano-vllm's).");
    private readonly Option<double?> _topP = Options.Number("--top-p", "Of every request; default 1.");
    private readonly Option<int?> _topK = Options.Count("--top-k", "Of every request; default 0.");
    private readonly Option<double?> _minP = Options.Number("--min-p", "Of every request; default 0.");
    private readonly Option<int?> _numItersWarmup = Options.Count("--num-iters-warmup", "Batches before the measurement; default 2.");
    private readonly Option<string?> _outputJson = Options.Text("--output-json", "Also writes the report as JSON.", "FILE");

    /// <summary>Adds the options of some benchmarks to <paramref name="command"/>.</summary>
    public void AddTo(Command command, Benchmarks benchmarks)
    {
        command.Add(_inputLen);
        command.Add(_outputLen);
        if ((benchmarks & (Benchmarks.Throughput | Benchmarks.Serve)) != 0)
        {
            command.Add(_dataset);
            command.Add(_numPrompts);
        }

        if (benchmarks.HasFlag(Benchmarks.Serve))
        {
            command.Add(_requestRate);
            command.Add(_burstiness);
            command.Add(_maxConcurrency);
        }

        if (benchmarks.HasFlag(Benchmarks.Latency))
        {
            command.Add(_batchSize);
            command.Add(_numIters);
        }

        command.Add(_temperature);
        command.Add(_topP);
        command.Add(_topK);
        command.Add(_minP);
        command.Add(_numItersWarmup);
        command.Add(_outputJson);
    }

    /// <summary>The path for the JSON output, or null.</summary>
    public string? OutputJson(ParseResult result) => result.GetValue(_outputJson);

    /// <summary>The settings of the throughput benchmark.</summary>
    public BenchmarkSettings Throughput(ParseResult result, long? seed) => Sampled(result) with
    {
        InputLen = AtLeastOne(result, _inputLen, 128),
        OutputLen = AtLeastOne(result, _outputLen, 128),
        NumPrompts = AtLeastOne(result, _numPrompts, 64),
        Dataset = Dataset(result),
        NumItersWarmup = AtLeast(result, _numItersWarmup, 2, 0),
        Seed = seed ?? 0,
    };

    /// <summary>The settings of the serve benchmark.</summary>
    public BenchmarkSettings Serve(ParseResult result, long? seed) => Sampled(result) with
    {
        InputLen = AtLeastOne(result, _inputLen, 1024),
        OutputLen = AtLeastOne(result, _outputLen, 128),
        NumPrompts = AtLeastOne(result, _numPrompts, 1000),
        Dataset = Dataset(result),
        RequestRate = Positive(result, _requestRate, double.PositiveInfinity),
        Burstiness = Positive(result, _burstiness, 1),
        MaxConcurrency = AtLeastOne(result, _maxConcurrency, int.MaxValue),
        NumItersWarmup = AtLeast(result, _numItersWarmup, 2, 0),
        Seed = seed ?? 0,
    };

    /// <summary>The settings of the latency benchmark.</summary>
    public BenchmarkSettings Latency(ParseResult result, long? seed) => Sampled(result) with
    {
        InputLen = AtLeastOne(result, _inputLen, 32),
        OutputLen = AtLeastOne(result, _outputLen, 128),
        BatchSize = AtLeastOne(result, _batchSize, 8),
        NumIters = AtLeastOne(result, _numIters, 10),
        NumItersWarmup = AtLeast(result, _numItersWarmup, 2, 0),
        Seed = seed ?? 0,
    };

    // What all benchmarks share; each benchmark sets its own lengths.
    private BenchmarkSettings Sampled(ParseResult result) => new()
    {
        InputLen = 1,
        OutputLen = 1,
        Temperature = result.GetValue(_temperature),
        TopP = result.GetValue(_topP) ?? 1,
        TopK = result.GetValue(_topK) ?? 0,
        MinP = result.GetValue(_minP) ?? 0,
    };

    // The nano-vllm workload has its own lengths, so given ones would be ignored.
    private BenchmarkDataset Dataset(ParseResult result)
    {
        var dataset = result.GetValue(_dataset) ?? BenchmarkDataset.Random;
        foreach (var option in dataset == BenchmarkDataset.NanoVllm ? [_inputLen, _outputLen, _numPrompts] : Array.Empty<Option<int?>>())
        {
            if (result.GetValue(option) is not null)
                throw new UsageException($"{option.Name} has no meaning with --dataset-name nano-vllm, which has its own requests; leave it out");
        }

        return dataset;
    }

    private static double Positive(ParseResult result, Option<double?> option, double fallback)
    {
        var value = result.GetValue(option) ?? fallback;
        return value > 0 ? value : throw new UsageException(FormattableString.Invariant($"{option.Name}: {value} is not above 0"));
    }

    private static int AtLeastOne(ParseResult result, Option<int?> option, int fallback) => AtLeast(result, option, fallback, 1);

    private static int AtLeast(ParseResult result, Option<int?> option, int fallback, int least)
    {
        var value = result.GetValue(option) ?? fallback;
        return value >= least ? value : throw new UsageException($"{option.Name}: {value} is too few; at least {least}");
    }
}
