using LocalLlm.Models;
using LocalLlm.Ops;

namespace LocalLlm.Planning;

/// <summary>What of an engine's options decides how memory is used.</summary>
internal sealed record PlanSettings
{
    // Room for a driver's small allocations stays, and on a CPU for the host application.
    private const double TightUtilization = 0.99;
    private const double TightCpuUtilization = 0.9;
    private const int TightSequences = 8;
    private const int TightStepTokens = 512;

    /// <summary>The type of weights that are not quantised, of activations, and of the KV cache unless that has 8-bit floats.</summary>
    public required ModelDtype Dtype { get; init; }

    /// <summary>Share of a device's memory; null: the default of its kind.</summary>
    public required double? Utilization { get; init; }

    /// <summary>Max tokens of a step.</summary>
    public required int StepTokens { get; init; }

    /// <summary>Max number of sequences that run at once.</summary>
    public required int Sequences { get; init; }

    /// <summary>Most drafts of a sequence; 0: nothing is drafted.</summary>
    public required int Drafts { get; init; }

    /// <summary>Most rows of logits of a step, as the engine counts them: one of each sequence and one of each draft.</summary>
    public int SampledRows => (int)Math.Min(StepTokens, Sequences + (Drafts == 0 ? 0L : Math.Max(Drafts, Sequences)));

    /// <summary>Whether steps are recorded as CUDA graphs, where a plan's can be.</summary>
    public required bool RecordsSteps { get; init; }

    /// <summary>Whether the model's layer of multi-token prediction is loaded.</summary>
    public bool Predicts { get; init; }

    /// <summary>The length that was asked for; null: none.</summary>
    public required int? MaxModelLen { get; init; }

    /// <summary>Whether the KV cache has 8-bit floats with scales of a byte.</summary>
    public required bool HasFloat8Cache { get; init; }

    /// <summary>Whether a request's answer must not depend on what runs beside it.</summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>Bytes for the KV cache of each rank, as asked for; null: what is left.</summary>
    public required long? KvCacheBytes { get; init; }

    /// <summary>Blocks of the KV cache, as asked for; null: what is left.</summary>
    public required int? KvBlocks { get; init; }

    /// <summary>The options that these settings differ by from what was asked for, as a command line has them.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Bytes of an element.</summary>
    public int ElementBytes => Dtype == ModelDtype.Float32 || (Dtype == ModelDtype.Float16 && ComputesOnCpu) ? 4 : 2;

    /// <summary>Bytes that a layer keeps of a token on each rank.</summary>
    public long CacheBytes(ModelShape shape, int tensorParallel) =>
        HasFloat8Cache ? shape.KvElements(tensorParallel) + shape.KvScales(tensorParallel) : shape.KvElements(tensorParallel) * ElementBytes;

    /// <summary>Whether ranks are a CPU's, which computes float16 in float32.</summary>
    public required bool ComputesOnCpu { get; init; }

    /// <summary>
    /// Whether the size of the KV cache was asked for: then it may use memory beyond the share, but not beyond the device.
    /// </summary>
    public bool GivesCache => KvCacheBytes is not null || KvBlocks is not null;

    /// <summary>As options say.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="dtype">The type, as asked for or as the checkpoint has it.</param>
    /// <param name="computesOnCpu">Whether ranks are a CPU's.</param>
    public static PlanSettings Of(EngineOptions options, ModelDtype dtype, bool computesOnCpu) => new()
    {
        Dtype = dtype,
        ComputesOnCpu = computesOnCpu,
        Utilization = options.GpuMemoryUtilization,
        Predicts = options.Speculation is { Method: SpeculationOptions.Mtp },
        StepTokens = options.StepTokens,
        Sequences = options.RunningSequences,
        Drafts = options.Speculation?.NumSpeculativeTokens ?? 0,
        RecordsSteps = !options.EnforceEager,
        MaxModelLen = options.MaxModelLen,
        HasFloat8Cache = KvCacheDtypes.IsFloat8(options.KvCacheDtype),
        IsBatchInvariant = options.BatchInvariant,
        KvCacheBytes = options.KvCacheMemoryBytes,
        KvBlocks = options.NumGpuBlocksOverride,
    };

    /// <summary>With as little beside weights and KV cache as makes sense; what the options name stays as it is.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="recordsSteps">Whether the plan's steps are recorded: else there is nothing to leave out.</param>
    public PlanSettings Tight(EngineOptions options, bool recordsSteps)
    {
        var arguments = new List<string>();
        var tight = this;
        if (options.GpuMemoryUtilization is null && !GivesCache)
            Change(tight with { Utilization = ComputesOnCpu ? TightCpuUtilization : TightUtilization }, $"--gpu-memory-utilization {(ComputesOnCpu ? "0.9" : "0.99")}");
        // A step has a token of each sequence at least.
        var (sequences, tokens) = (Math.Min(TightSequences, StepTokens), Math.Max(TightStepTokens, options.MaxNumSeqs ?? 1));
        if (options.MaxNumSeqs is null)
            Change(tight with { Sequences = sequences }, $"--max-num-seqs {sequences}");
        if (options.MaxNumBatchedTokens is null)
            Change(tight with { StepTokens = tokens }, $"--max-num-batched-tokens {tokens}");
        if (recordsSteps && !ComputesOnCpu)
            Change(tight with { RecordsSteps = false }, "--enforce-eager");
        return tight with { Arguments = arguments };

        void Change(PlanSettings changed, string argument)
        {
            tight = changed;
            arguments.Add(argument);
        }
    }
}
