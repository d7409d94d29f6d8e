namespace LocalLlm.Planning;

/// <summary>Whether a model runs as it was planned.</summary>
public enum PlanVerdict
{
    /// <summary>It fits.</summary>
    Fits,

    /// <summary>It fits only with further options, which leave little beside the weights.</summary>
    Tight,

    /// <summary>There is too little memory.</summary>
    DoesNotFit,

    /// <summary>The model cannot be spread in this way.</summary>
    Invalid,
}

/// <summary>How a model would lie on devices, from its configuration alone; all sizes in bytes, all of them estimates.</summary>
public sealed record ModelPlan
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>Its class in config.json.</summary>
    public required string Architecture { get; init; }

    /// <summary>Where the sizes come from.</summary>
    public required string SizesFrom { get; init; }

    /// <summary>Parameters.</summary>
    public required long Parameters { get; init; }

    /// <summary>Parameters that one token is computed by.</summary>
    public required long ActiveParameters { get; init; }

    /// <summary>All weights on one device, as they would lie in memory.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>KV cache of one token over all layers, on one device.</summary>
    public required long KvBytesPerToken { get; init; }

    /// <summary>The model's own context length.</summary>
    public required long ModelLength { get; init; }

    /// <summary>The type of activations, of the KV cache and of weights that are not quantised.</summary>
    public required string Dtype { get; init; }

    /// <summary>The devices: one kind, or one for each stage.</summary>
    public required IReadOnlyList<GpuCard> Cards { get; init; }

    /// <summary>Devices of one host.</summary>
    public required int DevicesPerNode { get; init; }

    /// <summary>Hosts.</summary>
    public required int Nodes { get; init; }

    /// <summary>Ranks that every layer is split over.</summary>
    public required int TensorParallel { get; init; }

    /// <summary>Stages that the layers are split over.</summary>
    public required int PipelineParallel { get; init; }

    /// <summary>Data-parallel groups, each with a KV cache of its own, which share the experts.</summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>Number of ranks.</summary>
    public int WorldSize => TensorParallel * PipelineParallel * DataParallel;

    /// <summary>The verdict.</summary>
    public required PlanVerdict Verdict { get; init; }

    /// <summary>Why it does not fit, or is not possible; empty where it fits.</summary>
    public IReadOnlyList<string> Faults { get; init; } = [];

    /// <summary>The option of the first fault, under its vLLM name; null: none.</summary>
    public string? Parameter { get; init; }

    /// <summary>What one should know beside.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>What every rank holds; empty where the plan is not possible.</summary>
    public IReadOnlyList<RankPlan> Ranks { get; init; } = [];

    /// <summary>Tokens that the KV cache of a data-parallel group holds: those of the rank with the least room.</summary>
    public long KvCacheTokens { get; init; }

    /// <summary>Max tokens of one sequence: as asked for, the model's own, or what fits.</summary>
    public long MaxModelLen { get; init; }

    /// <summary>Sequences of <see cref="MaxModelLen"/> that fit at once, in each data-parallel group.</summary>
    public double SequencesOfMaxModelLen => MaxModelLen == 0 ? 0 : (double)KvCacheTokens / MaxModelLen;

    /// <summary>Sequences of 4,096 tokens that fit at once, in each data-parallel group.</summary>
    public double SequencesOf4096 => KvCacheTokens / 4096.0;

    /// <summary>The time of a step; null: it does not fit, or the bandwidth is not known.</summary>
    public StepPrediction? Prediction { get; init; }

    /// <summary>What to type on every host; null: it does not fit.</summary>
    public string? CommandLine { get; init; }

    /// <summary>The fewest such devices that the model fits, as many hosts as it takes; null: none does.</summary>
    public PlanChoice? Smallest { get; init; }

    /// <summary>Where this plan does not fit or is not possible: others that fit, the nearest first.</summary>
    public IReadOnlyList<PlanChoice> Alternatives { get; init; } = [];

    /// <summary>Throws where the plan does not fit or is not possible: every fault, then the command lines that fit.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public void ThrowIfUnfit()
    {
        if (Verdict is PlanVerdict.DoesNotFit or PlanVerdict.Invalid)
            throw new EngineException(EngineErrorKind.InvalidOptions, PlanTexts.Refusal(Faults, Alternatives, Cards), Parameter);
    }
}
