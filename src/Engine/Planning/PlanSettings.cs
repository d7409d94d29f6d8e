using LocalLlm.Models;
using LocalLlm.Ops;

namespace LocalLlm.Planning;

/// <summary>The part of an engine's options that decides how memory is used.</summary>
internal sealed record PlanSettings
{
    // Leaves room for a driver's small allocations, and on a CPU for the host application.
    private const double TightUtilization = 0.99;
    private const double TightCpuUtilization = 0.9;
    private const int TightSequences = 8;
    private const int TightStepTokens = 512;

    /// <summary>The type of unquantised weights, of activations, and of the KV cache unless that has 8-bit floats.</summary>
    public required ModelDtype Dtype { get; init; }

    /// <summary>Share of a device's memory; null: the default for its kind.</summary>
    public required double? Utilization { get; init; }

    /// <summary>Max tokens of a step.</summary>
    public required int StepTokens { get; init; }

    /// <summary>Max number of sequences that run at once.</summary>
    public required int Sequences { get; init; }

    /// <summary>Max drafts per sequence; 0: nothing is drafted.</summary>
    public required int Drafts { get; init; }

    /// <summary>Max rows of logits in a step, as the engine counts them: one per sequence and one per draft.</summary>
    public int SampledRows => (int)Math.Min(StepTokens, Sequences + (Drafts == 0 ? 0L : Math.Max(Drafts, Sequences)));

    /// <summary>Whether steps are recorded as CUDA graphs, if the plan allows it.</summary>
    public required bool RecordsSteps { get; init; }

    /// <summary>Whether the model's layer of multi-token prediction is loaded.</summary>
    public bool Predicts { get; init; }

    /// <summary>The requested length; null: none.</summary>
    public required int? MaxModelLen { get; init; }

    /// <summary>Whether the KV cache has 8-bit floats with one-byte scales.</summary>
    public required bool HasFloat8Cache { get; init; }

    /// <summary>Whether a response must not depend on what runs at the same time.</summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>Requested bytes for the KV cache of each rank; null: what is left.</summary>
    public required long? KvCacheBytes { get; init; }

    /// <summary>Requested blocks of the KV cache; null: what is left.</summary>
    public required int? KvBlocks { get; init; }

    /// <summary>The command-line options by which these settings differ from the requested ones.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Bytes of an element.</summary>
    public int ElementBytes => Dtype == ModelDtype.Float32 || (Dtype == ModelDtype.Float16 && ComputesOnCpu) ? 4 : 2;

    /// <summary>Bytes that a layer caches for a token on each rank.</summary>
    public long CacheBytes(ModelShape shape, int tensorParallel) =>
        HasFloat8Cache ? shape.KvElements(tensorParallel) + shape.KvScales(tensorParallel) : shape.KvElements(tensorParallel) * ElementBytes;

    /// <summary>Whether ranks run on a CPU, which computes float16 in float32.</summary>
    public required bool ComputesOnCpu { get; init; }

    /// <summary>
    /// Whether the user asked for a size of the KV cache. It may then use memory beyond the share, but not beyond the device.
    /// </summary>
    public bool GivesCache => KvCacheBytes is not null || KvBlocks is not null;

    /// <summary>The settings that options ask for.</summary>
    /// <param name="options">The user's options.</param>
    /// <param name="dtype">The requested type, or the checkpoint's.</param>
    /// <param name="computesOnCpu">Whether ranks run on a CPU.</param>
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

    /// <summary>Settings that take as little memory beside weights and KV cache as makes sense; the user's options stay.</summary>
    /// <param name="options">The user's options.</param>
    /// <param name="recordsSteps">Whether the plan's steps are recorded; only then can leaving it out save memory.</param>
    public PlanSettings Tight(EngineOptions options, bool recordsSteps)
    {
        var arguments = new List<string>();
        var tight = this;
        if (options.GpuMemoryUtilization is null && !GivesCache)
            Change(tight with { Utilization = ComputesOnCpu ? TightCpuUtilization : TightUtilization }, $"--gpu-memory-utilization {(ComputesOnCpu ? "0.9" : "0.99")}");
        // A step has at least one token of each sequence.
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
