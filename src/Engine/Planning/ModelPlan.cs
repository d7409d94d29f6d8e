namespace LocalLlm.Planning;

/// <summary>Whether a model can run as planned.</summary>
public enum PlanVerdict
{
    /// <summary>It fits.</summary>
    Fits,

    /// <summary>It fits only with further options, which leave little memory beside the weights.</summary>
    Tight,

    /// <summary>There is too little memory.</summary>
    DoesNotFit,

    /// <summary>The model cannot be spread in this way.</summary>
    Invalid,
}

/// <summary>How a model would be spread over devices, from its configuration alone. All sizes are estimates in bytes.</summary>
public sealed record ModelPlan
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>Its model class in config.json.</summary>
    public required string Architecture { get; init; }

    /// <summary>Where the sizes come from.</summary>
    public required string SizesFrom { get; init; }

    /// <summary>Parameters.</summary>
    public required long Parameters { get; init; }

    /// <summary>Parameters used for one token.</summary>
    public required long ActiveParameters { get; init; }

    /// <summary>All weights on one device, as they would be in memory.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>KV cache of one token over all layers, on one device.</summary>
    public required long KvBytesPerToken { get; init; }

    /// <summary>The model's own context length.</summary>
    public required long ModelLength { get; init; }

    /// <summary>The type of activations, of the KV cache and of unquantised weights.</summary>
    public required string Dtype { get; init; }

    /// <summary>The devices: one kind for all stages, or one for each stage.</summary>
    public required IReadOnlyList<GpuCard> Cards { get; init; }

    /// <summary>Devices per host.</summary>
    public required int DevicesPerNode { get; init; }

    /// <summary>Number of hosts.</summary>
    public required int Nodes { get; init; }

    /// <summary>Ranks that every layer is split over.</summary>
    public required int TensorParallel { get; init; }

    /// <summary>Stages that the layers are split over.</summary>
    public required int PipelineParallel { get; init; }

    /// <summary>Data-parallel groups. Each has its own KV cache; they share the experts.</summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>Number of ranks.</summary>
    public int WorldSize => TensorParallel * PipelineParallel * DataParallel;

    /// <summary>The verdict.</summary>
    public required PlanVerdict Verdict { get; init; }

    /// <summary>Why it does not fit or is not possible; empty if it fits.</summary>
    public IReadOnlyList<string> Faults { get; init; } = [];

    /// <summary>The option that causes the first fault, under its vLLM name; null: none.</summary>
    public string? Parameter { get; init; }

    /// <summary>Further remarks for the user.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>What every rank holds; empty if the plan is not possible.</summary>
    public IReadOnlyList<RankPlan> Ranks { get; init; } = [];

    /// <summary>Tokens that the KV cache of a data-parallel group holds; the rank with the least room decides.</summary>
    public long KvCacheTokens { get; init; }

    /// <summary>Max tokens of one sequence: the requested length, the model's own, or what fits.</summary>
    public long MaxModelLen { get; init; }

    /// <summary>Sequences of <see cref="MaxModelLen"/> that fit at once, in each data-parallel group.</summary>
    public double SequencesOfMaxModelLen => MaxModelLen == 0 ? 0 : (double)KvCacheTokens / MaxModelLen;

    /// <summary>Sequences of 4,096 tokens that fit at once, in each data-parallel group.</summary>
    public double SequencesOf4096 => KvCacheTokens / 4096.0;

    /// <summary>The predicted time of a step; null: the plan does not fit, or the bandwidth is unknown.</summary>
    public StepPrediction? Prediction { get; init; }

    /// <summary>The command line for every host; null: the plan does not fit.</summary>
    public string? CommandLine { get; init; }

    /// <summary>The plan that fits with the fewest devices of this kind, on any number of hosts; null: none does.</summary>
    public PlanChoice? Smallest { get; init; }

    /// <summary>Plans that fit, the nearest first, if this one does not fit or is not possible.</summary>
    public IReadOnlyList<PlanChoice> Alternatives { get; init; } = [];

    /// <summary>Throws if the plan does not fit or is not possible; the message lists every fault, then fitting command lines.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public void ThrowIfUnfit()
    {
        if (Verdict is PlanVerdict.DoesNotFit or PlanVerdict.Invalid)
            throw new EngineException(EngineErrorKind.InvalidOptions, PlanTexts.Refusal(Faults, Alternatives, Cards), Parameter);
    }
}
