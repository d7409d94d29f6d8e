using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Runs the largest step that the options allow, so that every buffer has its final size before the KV cache is sized, and the smallest
/// ones, so that every kernel is compiled before the first request.
/// </summary>
internal static class StepProfile
{
    // Steps of so few tokens have kernels of their own.
    private const int FewTokens = 4;

    /// <summary>
    /// Prompts of <paramref name="maxTokens"/> and of few tokens, and logits of <paramref name="maxSequences"/> rows; nothing is kept.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="ops">Its device.</param>
    /// <param name="cacheType">Elements of the KV cache.</param>
    /// <param name="maxTokens">Of a step of each data-parallel group.</param>
    /// <param name="maxSequences">Rows whose logits are computed at once.</param>
    /// <param name="gather">Brings the ranks' logits together.</param>
    /// <param name="rows">Gets the tokens of every data-parallel group, whose ranks all run this; null: there is one group.</param>
    public static void Run(
        ICausalLanguageModel model, IDeviceOps ops, ScalarType cacheType, int maxTokens, int maxSequences, LogitsGather gather,
        GroupRows? rows = null)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var caches = KvCacheTensors.Allocate(ops, model.KvCache, 1, cacheType);
        var few = Math.Min(FewTokens, maxTokens - 1);
        for (var tokens = few; tokens > 0; tokens--)
        {
            // Groups have different numbers, as in most steps.
            var step = tokens;
            var own = Own(rows, group => 1 + ((step - 1 + group) % few)) ?? tokens;
            RunStep(model, ops, caches, rows, gather, own, own);
        }

        Own(rows, _ => maxTokens);
        RunStep(model, ops, caches, rows, gather, maxTokens, Math.Min(maxTokens, Math.Max(maxSequences, LocalExecutor.PromptLogitsRows)));
        foreach (var cache in caches)
            cache.Dispose();
    }

    // Notes the tokens of every group; those of this rank's own.
    private static int? Own(GroupRows? rows, Func<int, int> tokensOf)
    {
        rows?.Clear();
        for (var group = 0; group < rows?.Counts.Count; group++)
            rows.Add(group, tokensOf(group));
        return rows?.Own;
    }

    private static void RunStep(
        ICausalLanguageModel model, IDeviceOps ops, IReadOnlyList<KvLayerCache> caches, GroupRows? rows, LogitsGather gather, int tokens,
        int logitsRows)
    {
        using var scope = NewDisposeScope();
        using var metadata = new AttentionMetadata();
        metadata.Sequences.Add(new(0, tokens, tokens, 0));
        // Every position is in the one block that there is.
        for (var block = 0; block < tokens; block += AttentionMetadata.BlockSize)
            metadata.BlockTables.Add(0);
        model.BeginStep();
        for (var token = 0; token < tokens; token++)
        {
            model.AddPositions(metadata, 0, 1, 1);
            metadata.SlotMapping.Add(token % AttentionMetadata.BlockSize);
        }

        var context = new ForwardContext(metadata, caches) { Rows = rows };
        var hidden = model.Forward(ops.BeginStep(new int[tokens], metadata), context);
        if (model.Predictor is { } predictor)
        {
            using var ofDraft = NewDisposeScope();
            var next = predictor.Forward(hidden, isOfModel: true, zeros(tokens, ScalarType.Int64, hidden.device), context);
            gather.Best(predictor.ComputeLogits(next.narrow(0, 0, logitsRows)));
        }

        if (!model.GivesLogits)
            return;
        // As many rows as there are of each kind: those whose best token is taken, and those that are gathered whole.
        var chosen = Enumerable.Range(0, logitsRows).ToArray();
        var logits = model.ComputeLogits(ops.SelectRows(hidden, chosen));
        var best = gather.IsSplit ? gather.Best(logits) : null;
        if (gather.Whole(gather.IsSplit ? ops.SelectRows(logits, chosen) : logits) is not { } whole)
            return;
        whole.to(float32).Dispose();
        if (ops.Features.TokenSampler is { } sampler)
            Sample(sampler, whole, best, logitsRows);
    }

    // In every way: as they are, changed, cut, and both; and by the best token of each rank.
    private static void Sample(ITokenSampler sampler, Tensor logits, Tensor? best, int rows)
    {
        using var batch = new SamplingBatch();
        if (best is not null)
        {
            sampler.BeginSample(null, batch, best);
            sampler.EndSample(new int[rows]);
        }

        foreach (var (edits, cuts) in ((bool, bool)[])[(false, false), (true, false), (false, true), (true, true)])
        {
            batch.Clear();
            var draw = new TokenDraw(0, 1, TopK: cuts ? 1 : 0);
            for (var row = 0; row < rows; row++)
            {
                if (edits)
                    batch.Add(draw, new() { AllowedCount = -1, RepetitionPenalty = 1 });
                else
                    batch.Add(draw);
            }

            sampler.BeginSample(logits, batch);
            sampler.EndSample(new int[rows]);
        }
    }
}
