using LocalLlm.Models;
using LocalLlm.Ops.Cpu;
using LocalLlm.Ops.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Estimates the memory of every rank of a plan from the model's configuration and the devices' memory alone. Pure.</summary>
/// <param name="parts">The weights.</param>
/// <param name="cards">The device of every rank, or of the ranks of each stage.</param>
/// <param name="options">The options that the engine would load with.</param>
/// <param name="settings">The part of them that decides how memory is used.</param>
internal sealed class CapacityPlanner(ModelParts parts, IReadOnlyList<GpuCard> cards, EngineOptions options, PlanSettings settings)
{
    /// <summary>The engine's allowance for recorded steps, for every 256 sequences.</summary>
    public const long GraphAllowance = 256L << 20;

    /// <summary>
    /// An allowance for a CUDA context, cuBLAS's workspace and loaded kernels; on a GPU the engine measures it when it loads the model.
    /// </summary>
    public const long ContextAllowance = 256L << 20;

    /// <summary>Tokens of a block of the KV cache.</summary>
    public const int BlockSize = 16;

    // The memory planner's value.
    private const int BookkeepingBytes = 128;

    // A cache for less than a short conversation is useless.
    private const long UsefulTokens = 1024;

    // A cache of a given size may be this small.
    private const long MinTokens = 2;
    private const long MaxBlocks = 1 << 19;

    private readonly SplitShape _split = parts.Split;
    private readonly Dictionary<StageSplit, (long[] Layers, long Embedding, long Head)> _bytes = [];

    /// <summary>The model.</summary>
    public ModelShape Shape => parts.Shape;

    /// <summary>The device of every rank, or of the ranks of each stage.</summary>
    public IReadOnlyList<GpuCard> Cards => cards;

    /// <summary>Whether stages have devices of different kinds.</summary>
    public bool IsMixed => cards.Count > 1;

    /// <summary>Number of stages with their own kind of device.</summary>
    public int StageCards => cards.Count;

    /// <summary>The device of a stage's ranks.</summary>
    public GpuCard CardOf(int stage) => cards[Math.Min(stage, cards.Count - 1)];

    /// <summary>Bytes of KV cache of one token, as if one device held all layers.</summary>
    public long KvBytesPerToken => (Shape.Layers + PredictionCaches) * settings.CacheBytes(Shape, 1);

    /// <summary>Bytes of a group's weights, counted on one rank of each stage, as if one stage held all layers.</summary>
    /// <param name="split">How many ranks split the weights.</param>
    public long RankBytes(StageSplit split) => BytesOf(split) is var (layers, embedding, head) ? layers.Sum() + embedding + head + Prediction(split, ownEmbedding: 0) + TiedHead(isApart: false, embedding) : 0;

    /// <summary>A plan as it was asked for; if only the tightest settings let it fit, with these.</summary>
    /// <param name="plan">A plan that is valid for the model.</param>
    public CapacityEstimate Best(ParallelPlan plan)
    {
        var asked = Estimate(plan, settings);
        if (asked.Fits)
            return asked;
        var tight = Estimate(plan, settings.Tight(options, Records(SplitOf(plan), settings)));
        return tight.Fits || !asked.IsTight ? tight : asked;
    }

    /// <summary>A plan as it was asked for.</summary>
    public CapacityEstimate Estimate(ParallelPlan plan) => Estimate(plan, settings);

    /// <summary>
    /// Whether the engine accepts a plan's sizes together with the other options. A single rank is checked without expert balancing.
    /// </summary>
    public bool Allows(ParallelPlan plan) => ParallelRules.FaultsOf(ParallelRequest.Of(options, devicesPerNode: null) with
    {
        TensorParallel = plan.TensorParallel, PipelineParallel = plan.PipelineParallel, DataParallel = plan.DataParallel, Nodes = plan.Nodes, LayersPerStage = null, Devices = null,
        Balancing = plan.RanksPerStage == 1 ? null : options.ExpertBalancing,
    }, _split).Count == 0;

    /// <summary>Whether the weights alone are too large for this many ranks, whatever the settings.</summary>
    public bool IsHopeless(ParallelPlan plan)
    {
        var memory = Enumerable.Range(0, plan.PipelineParallel).Sum(stage => (double)CardOf(stage).MemoryBytes);
        return RankBytes(SplitOf(plan)) > memory;
    }

    // KV caches of the layer of multi-token prediction.
    private int PredictionCaches => settings.Predicts ? Math.Min(1, Shape.PredictionLayers) : 0;

    private CapacityEstimate Estimate(ParallelPlan plan, PlanSettings used)
    {
        var layers = plan.LayersPerStage ?? Balance(plan);
        plan = plan with { LayersPerStage = layers };
        var stages = Enumerable.Range(0, plan.PipelineParallel).Select(stage => EstimateStage(plan.StageOf(stage, Shape.Layers), SplitOf(plan), used)).ToArray();
        var wanted = used.MaxModelLen ?? (used.GivesCache ? MinTokens : Math.Min(UsefulTokens, Shape.MaxModelLength));
        return new(plan, used, stages, wanted);
    }

    private int[] Balance(ParallelPlan plan)
    {
        var split = SplitOf(plan);
        var (layers, embedding, head) = BytesOf(split);
        return StageBalance.Split(layers, embedding, head + Prediction(split, plan.PipelineParallel > 1 ? embedding : 0) + TiedHead(plan.PipelineParallel > 1, embedding), [.. Enumerable.Range(0, plan.PipelineParallel).Select(stage => (double)CardOf(stage).MemoryBytes)]);
    }

    private StageEstimate EstimateStage(PipelineStage stage, StageSplit split, PlanSettings used)
    {
        var card = CardOf(stage.Index);
        var (layers, embedding, head) = BytesOf(split);
        var own = layers.AsSpan(stage.FirstLayer, stage.NumLayers);
        var weights = Sum(own) + (stage.IsFirst ? embedding : 0) + (stage.IsLast ? head + Prediction(split, stage.IsFirst ? 0 : embedding) + TiedHead(!stage.IsFirst, embedding) : 0);
        // On a CPU the engine plans with the whole width; on a GPU it measures the rank's part.
        var activations = (used.StepTokens * ActivationElements(card.IsCpu ? split with { Tensor = 1 } : split) * used.ElementBytes) + (stage.IsLast ? Logits(used) : 0) + (card.IsCpu ? CpuWorkspaceBytes(used, split.Groups) : ContextAllowance);
        const int rows = EngineOptionsDefaults.MaxNumSeqs;
        var graphs = Records(split, used) && !card.IsCpu ? GraphAllowance * ((Math.Min(used.Sequences, Shape.MaxRecordedRows) + rows - 1) / rows) : 0;
        var utilization = used.Utilization ?? (card.IsCpu ? EngineOptionsDefaults.CpuMemoryUtilization : EngineOptionsDefaults.GpuMemoryUtilization);
        var budget = card.MemoryBytes * utilization;
        // As in the engine: weights in the model's type get a second copy for single rows if both copies leave half of the budget free.
        var copies = card.IsCpu && CpuOps.KeepsDecodeCopies && !used.IsBatchInvariant && used.Dtype == ModelDtype.BFloat16 ? weights - SingleBytes(stage, split, used) : 0;
        var hasCopies = weights + copies < budget / 2;
        if (hasCopies)
            weights += copies;
        activations += card.IsCpu ? 0 : RouterBytes(stage, split, used);
        activations += MovedBytes(stage, split, used, hasCopies && copies > 0);
        var estimate = new StageEstimate(stage.FirstLayer, stage.NumLayers, card)
        {
            GivesCache = used.GivesCache,
            BudgetBytes = (long)budget,
            WeightBytes = weights,
            ActivationBytes = activations,
            GraphBytes = graphs,
            KvBytesPerToken = (stage.NumLayers + (stage.IsLast ? PredictionCaches : 0)) * used.CacheBytes(Shape, split.Tensor),
            KvTokens = 0,
            ReadBytes = ReadBytes(stage, split, used),
        };
        return estimate with { KvTokens = Tokens(estimate, used) };
    }

    // As in the engine. It does not record steps with drafts of the model's own layer, nor steps of experts that groups share or that move.
    // In float32 it does not record the kernels of latent attention, experts and 8-bit floats.
    private bool Records(StageSplit split, PlanSettings used)
    {
        var isFixed = split.Groups == 1 && (options.ExpertBalancing is null || split.Ranks == 1);
        var isPlain = Shape.Latent is null && Shape.Experts is null && Shape.Quantisation is null;
        return used.RecordsSteps && PredictionCaches == 0 && (isFixed || Shape.Experts is null)
            && (isPlain || used.Dtype != ModelDtype.Float32);
    }

    // As in the engine's memory planner: a cache of a given size may use memory beyond the share, but not beyond the device. Blocks that no
    // sequence could fill are not allocated.
    private long Tokens(StageEstimate stage, PlanSettings used)
    {
        var block = BlockSize * stage.KvBytesPerToken;
        if (used.KvBlocks is { } blocks)
            return blocks * block <= stage.FreeBytes ? (long)blocks * BlockSize : 0;
        var useful = ((used.MaxModelLen ?? Shape.MaxModelLength) + BlockSize - 1) / BlockSize * used.Sequences;
        var affordable = used.KvCacheBytes is { } asked ? (asked <= stage.FreeBytes ? asked / block : 0) : Math.Max(0, stage.FreeBytes) / (block + BookkeepingBytes);
        return Math.Min(Math.Min(affordable, useful), MaxBlocks) * BlockSize;
    }

    // The layer shares the model's embedding if that is in the same stage.
    private long Prediction(StageSplit split, long ownEmbedding) => settings.Predicts ? ownEmbedding + parts.Bytes(parts.Prediction, split, settings.ElementBytes) : 0;

    // A head tied to the embedding needs a matrix of its own if the embedding is in another stage, and always on a CPU, which stores it in
    // another layout.
    private long TiedHead(bool isApart, long embedding) => Shape.IsTied && (isApart || cards[0].IsCpu) ? embedding : 0;

    // Weights that never have a second copy.
    private long SingleBytes(PipelineStage stage, StageSplit split, PlanSettings used) =>
        Enumerable.Range(stage.FirstLayer, stage.NumLayers).Select(parts.Layer).Concat(stage.IsLast && settings.Predicts ? [parts.Prediction] : [])
            .Sum(layer => parts.Bytes(layer.Where(part => !part.MayHaveCopy(Shape.Quantisation)), split, used.ElementBytes));

    // As in CudaExpertOps: the bfloat16 matrix by which a router multiplies many rows. The files' type is that of the other weights.
    private long RouterBytes(PipelineStage stage, StageSplit split, PlanSettings used)
    {
        var rows = (long)used.StepTokens * split.Groups;
        if (Shape.Experts is not { } experts || used.Dtype != ModelDtype.BFloat16 || rows < CudaExpertOps.MinManyRows)
            return 0;
        var routers = Enumerable.Range(stage.FirstLayer, stage.NumLayers).Count(Shape.HasExperts);
        if (stage.IsLast && settings.Predicts && Shape.PredictsByExperts)
            routers++;
        return routers * RouterScores.Bytes(experts.Count, Shape.HiddenSize, Shape.Dtype is null or ModelDtype.BFloat16);
    }

    // As in ModelLoader.MovedBytes: copies of one layer's experts while they change places.
    private long MovedBytes(PipelineStage stage, StageSplit split, PlanSettings used, bool hasCopies)
    {
        if (options.ExpertBalancing is null || split.Ranks == 1)
            return 0;
        return Enumerable.Range(stage.FirstLayer, stage.NumLayers).Select(parts.Layer).Concat(stage.IsLast && settings.Predicts ? [parts.Prediction] : [])
            .Max(layer => Bytes(layer.Where(part => part.IsOfExperts)) + (hasCopies ? Bytes(layer.Where(part => part.IsOfExperts && part.MayHaveCopy(Shape.Quantisation))) : 0));

        long Bytes(IEnumerable<WeightPart> ofExperts) => parts.Bytes(ofExperts, split, used.ElementBytes);
    }

    // A token reads one row of the embedding, which is negligible beside a matrix.
    private long ReadBytes(PipelineStage stage, StageSplit split, PlanSettings used)
    {
        var read = 0L;
        for (var layer = stage.FirstLayer; layer < stage.FirstLayer + stage.NumLayers; layer++)
            read += parts.ActiveBytes(parts.Layer(layer), split, used.ElementBytes);
        if (stage.IsLast && settings.Predicts)
            read += parts.ActiveBytes(parts.Prediction, split, used.ElementBytes);
        return read + (stage.IsLast ? parts.ActiveBytes(Shape.IsTied ? parts.Embedding : parts.Head, split, used.ElementBytes) : 0);
    }

    // As in ModelConfig.ActivationElements, with this rank's part of what is split. On a CPU the engine counts whole experts.
    private long ActivationElements(StageSplit split)
    {
        var ranks = split.Tensor;
        var expertRanks = cards[0].IsCpu ? 1 : split.Ranks;
        long hidden = Shape.HiddenSize;
        var attention = Shape.Latent is { } latent
            ? (latent.QueryRank ?? 0) + latent.KvRank + latent.RotaryDim
                + ((long)Shape.Heads / ranks * (latent.PlainDim + (2 * latent.RotaryDim) + (2 * latent.KvRank) + latent.ValueDim))
            : (2L * Shape.Heads / ranks * Shape.HeadDim) + (2L * Shape.Split.KvHeadsPerRank(ranks) * Shape.HeadDim);
        var dense = 3L * Shape.IntermediateSize / ranks;
        if (Shape.Experts is not { } experts)
            return (4 * hidden) + attention + dense;
        var routed = experts.PerToken * ((2 * hidden) + (3L * experts.Width / expertRanks));
        // The rows of other groups, their sums in two types, and their experts.
        var ofOthers = (split.Groups - 1) * ((4 * hidden) + routed);
        return (4 * hidden) + attention + Math.Max(dense, routed + (3L * experts.SharedWidth / ranks)) + ofOthers;
    }

    // As in ModelConfig.CpuWorkspaceBytes.
    private long CpuWorkspaceBytes(PlanSettings used, int groups) =>
        (Shape.Latent is { } latent
            ? CpuWorkspace.ForLatentAttention(new(Shape.Heads, latent.KvRank, latent.PlainDim, latent.RotaryDim, latent.ValueDim, 1, false), used.ElementBytes)
            : 0)
        + (Shape.Experts is { } experts ? CpuWorkspace.ForExperts((long)used.StepTokens * groups, experts.PerToken, Shape.HiddenSize, experts.Width, used.ElementBytes) : 0);

    // One row of logits for every sampled token, in the model's type and in float32, gathered from the ranks.
    private long Logits(PlanSettings used) => (long)used.SampledRows * Shape.VocabSize * (used.ElementBytes + sizeof(float));

    private (long[] Layers, long Embedding, long Head) BytesOf(StageSplit split)
    {
        if (_bytes.TryGetValue(split, out var known))
            return known;
        var size = settings.ElementBytes;
        var bytes = (Enumerable.Range(0, Shape.Layers).Select(layer => parts.Bytes(parts.Layer(layer), split, size)).ToArray(),
            parts.Bytes(parts.Embedding, split, size), parts.Bytes(parts.Head.Concat(parts.FinalNorm), split, size));
        return _bytes[split] = bytes;
    }

    private static StageSplit SplitOf(ParallelPlan plan) => new(plan.TensorParallel, plan.DataParallel);

    private static long Sum(ReadOnlySpan<long> values)
    {
        var sum = 0L;
        foreach (var value in values)
            sum += value;
        return sum;
    }
}
