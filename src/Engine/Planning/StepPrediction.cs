using System.Globalization;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>
/// Predicts the time of a step of one token if only the necessary work takes time: every rank reads its weights and the KV cache once, and
/// waits for its peers. A prediction, not a measurement. The memory time is a lower bound. The time for the peers is this engine's own,
/// measured between two H200 and assumed for other cards and numbers of ranks.
/// </summary>
public sealed record StepPrediction
{
    // Measured over TCP between the network namespaces of two hosts: 8 KB there and back.
    private const double NodeSeconds = 17e-6;

    /// <summary>Tokens of the context whose KV cache is read.</summary>
    public required long ContextTokens { get; init; }

    /// <summary>Time for reading weights: the stages read one after the other.</summary>
    public required double WeightSeconds { get; init; }

    /// <summary>Time for reading the context's KV cache.</summary>
    public required double KvCacheSeconds { get; init; }

    /// <summary>Number of all-reduces among the ranks of a group.</summary>
    public required int AllReduces { get; init; }

    /// <summary>Time for the all-reduces.</summary>
    public required double AllReduceTime { get; init; }

    /// <summary>
    /// Number of exchanges between data-parallel groups: each layer with experts gathers the groups' rows and returns their sums.
    /// </summary>
    public int Exchanges { get; init; }

    /// <summary>Time for the exchanges, if they are as fast as all-reduces of one row.</summary>
    public double ExchangeTime { get; init; }

    /// <summary>
    /// Bytes that the exchanges bring to a rank, over all layers, for each token of the other groups in a step: the token's row and the
    /// rank's part of the sum. Their time is not predicted.
    /// </summary>
    public long ExchangeBytesPerToken { get; init; }

    /// <summary>Number of transfers from one stage to the next.</summary>
    public required int Passes { get; init; }

    /// <summary>Time for the transfers.</summary>
    public required double PassTime { get; init; }

    /// <summary>The prediction as a readable calculation.</summary>
    public required string Arithmetic { get; init; }

    /// <summary>Time of the whole step.</summary>
    public double StepSeconds => WeightSeconds + KvCacheSeconds + AllReduceTime + ExchangeTime + PassTime;

    /// <summary>Tokens per second of a single sequence.</summary>
    public double TokensPerSecond => 1 / StepSeconds;

    /// <summary>The prediction for an estimate; null: a card's bandwidth is unknown.</summary>
    internal static StepPrediction? Of(CapacityEstimate estimate, ModelShape shape)
    {
        var plan = estimate.Plan;
        if (estimate.Stages.Any(stage => stage.Card.BytesPerSecond is null))
            return null;
        var context = Math.Min(4096, shape.MaxModelLength);
        var weights = estimate.Stages.Sum(stage => stage.ReadBytes / stage.Card.BytesPerSecond!.Value);
        var cache = estimate.Stages.Sum(stage => stage.KvBytesPerToken * context / stage.Card.BytesPerSecond!.Value);
        // All-reduces: after attention and after the MLP of each layer, after the embedding, and for the logits' parts. With groups, an
        // exchange sums the routed experts; the shared ones have an all-reduce of their own.
        var expertLayers = plan.DataParallel == 1 ? 0 : Enumerable.Range(0, shape.Layers).Count(shape.HasExperts);
        var reduces = plan.TensorParallel == 1 ? 0 : (2 * shape.Layers) - (shape.Experts is { SharedWidth: > 0 } ? 0 : expertLayers) + 2;
        var passes = plan.PipelineParallel - 1;
        var far = Enumerable.Range(0, passes).Count(stage => NodeOf(plan, stage) != NodeOf(plan, stage + 1));
        var bytes = shape.HiddenSize * estimate.Settings.ElementBytes;
        var latency = AllReduceTimes.Seconds(bytes);
        // Assumes that a transfer within a node takes as long as a sum.
        var passTime = (far * NodeSeconds) + ((passes - far) * latency);
        var prediction = new StepPrediction
        {
            ContextTokens = context,
            WeightSeconds = weights,
            KvCacheSeconds = cache,
            AllReduces = reduces,
            AllReduceTime = reduces * latency,
            Exchanges = 2 * expertLayers,
            ExchangeTime = 2 * expertLayers * latency,
            ExchangeBytesPerToken = 2L * expertLayers * bytes,
            Passes = passes,
            PassTime = passTime,
            Arithmetic = "",
        };
        return prediction with { Arithmetic = prediction.Write(estimate, far) };
    }

    private static int NodeOf(ParallelPlan plan, int stage) => plan.PlaceOf(stage * plan.RanksPerStage).Node;

    private string Write(CapacityEstimate estimate, int far)
    {
        var isMeasured = AllReduceTimes.AreMeasured(estimate.Stages.Select(stage => stage.Card), estimate.Plan.TensorParallel);
        var (weights, cache) = (estimate.Stages.Sum(stage => stage.ReadBytes), estimate.Stages.Sum(stage => stage.KvBytesPerToken) * ContextTokens);
        var speeds = string.Join(" or ", estimate.Stages.Select(stage => stage.Card.BytesPerSecond!.Value).Distinct().Select(speed => Text($"{speed / 1e9:N0} GB/s")));
        var stages = estimate.Stages.Count == 1 ? "a rank" : $"a rank of each of {estimate.Stages.Count} stages together";
        var text = Text($"({weights / 1e9:F2} GB of weights + {cache / 1e9:F2} GB of KV cache of {ContextTokens:N0} tokens) of {stages} / {speeds} = {(WeightSeconds + KvCacheSeconds) * 1e3:F2} ms");
        if (AllReduces > 0)
            text += Text($"; {AllReduces} all-reduces x {AllReduceTime / AllReduces * 1e6:F1} us ({(isMeasured ? "measured" : "assumed: measured between two H200")}) = {AllReduceTime * 1e3:F2} ms");
        if (Exchanges > 0)
            text += Text($"; {Exchanges} exchanges between {estimate.Plan.DataParallel} groups x {ExchangeTime / Exchanges * 1e6:F1} us (assumed) = {ExchangeTime * 1e3:F2} ms, beside {ExchangeBytesPerToken / 1e6:F2} MB to each rank for a token of another group");
        if (Passes > 0)
            text += Text($"; {Passes} {(Passes == 1 ? "pass" : "passes")} to the next stage{(far > 0 ? $" ({far} between nodes)" : "")}, assumed = {PassTime * 1e3:F2} ms");
        return text + Text($"; together {StepSeconds * 1e3:F2} ms");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
