using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Runs the largest steps of each kind that the options allow, so that every buffer has its final size before the KV cache is sized. Also
/// runs the smallest steps, so that every kernel is compiled before the first request.
/// </summary>
internal static class StepProfile
{
    // Steps with so few tokens use kernels of their own.
    private const int FewTokens = 4;

    // Attention treats shorter prompts like single tokens.
    private const int MinPrompt = 16;

    /// <summary>
    /// Runs prompts of <paramref name="maxTokens"/> tokens and of few tokens, with logits of <paramref name="maxSequences"/> rows, then
    /// one token for each sequence, alone and together with prompts. Keeps no results.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="ops">The model's device.</param>
    /// <param name="cacheType">Element type of the KV cache.</param>
    /// <param name="maxTokens">Number of tokens of the largest step of each data-parallel group.</param>
    /// <param name="maxSequences">Max number of rows whose logits are computed at once.</param>
    /// <param name="gather">Collects the ranks' logits.</param>
    /// <param name="rows">Receives the number of tokens of every data-parallel group; all their ranks run this. Null: only one
    /// group.</param>
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
            // Groups have different numbers of tokens, as in most steps.
            var step = tokens;
            var own = Own(rows, group => 1 + ((step - 1 + group) % few)) ?? tokens;
            RunStep(model, ops, caches, rows, gather, [own], own);
        }

        Own(rows, _ => maxTokens);
        RunStep(model, ops, caches, rows, gather, [maxTokens], Math.Min(maxTokens, Math.Max(maxSequences, LocalExecutor.PromptLogitsRows)));
        foreach (var step in Mixed(maxTokens, maxSequences))
        {
            Own(rows, _ => step.Sum());
            RunStep(model, ops, caches, rows, gather, step, 0);
        }

        foreach (var cache in caches)
            cache.Dispose();
    }

    // Steps that prompts alone do not cover: one token for each sequence, alone and beside several prompts.
    private static IEnumerable<int[]> Mixed(int maxTokens, int maxSequences)
    {
        var singles = Math.Min(maxTokens, maxSequences);
        yield return [.. Enumerable.Repeat(1, singles)];
        var beside = Math.Min(singles, maxTokens / 2);
        var prompt = (maxTokens - beside) / 2;
        if (prompt >= MinPrompt)
            yield return [.. Enumerable.Repeat(1, beside), prompt, maxTokens - beside - prompt];
    }

    // Records the number of tokens of every group; returns that of this rank's own group.
    private static int? Own(GroupRows? rows, Func<int, int> tokensOf)
    {
        rows?.Clear();
        for (var group = 0; group < rows?.Counts.Count; group++)
            rows.Add(group, tokensOf(group));
        return rows?.Own;
    }

    private static void RunStep(
        ICausalLanguageModel model, IDeviceOps ops, IReadOnlyList<KvLayerCache> caches, GroupRows? rows, LogitsGather gather,
        IReadOnlyList<int> sequences, int logitsRows)
    {
        using var scope = NewDisposeScope();
        using var metadata = new AttentionMetadata();
        var tokens = 0;
        foreach (var length in sequences)
        {
            metadata.Sequences.Add(new(tokens, length, length, metadata.BlockTables.Count));
            // Every position is in the only block.
            for (var block = 0; block < length; block += AttentionMetadata.BlockSize)
                metadata.BlockTables.Add(0);
            tokens += length;
        }

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
            if (logitsRows > 0)
                gather.Best(predictor.ComputeLogits(next.narrow(0, 0, logitsRows)));
        }

        if (!model.GivesLogits || logitsRows == 0)
            return;
        // The largest number of rows of both kinds: those whose best token is taken, and those that are gathered whole.
        var chosen = Enumerable.Range(0, logitsRows).ToArray();
        var logits = model.ComputeLogits(ops.SelectRows(hidden, chosen));
        var best = gather.IsSplit ? gather.Best(logits) : null;
        if (gather.Whole(gather.IsSplit ? ops.SelectRows(logits, chosen) : logits) is not { } whole)
            return;
        whole.to(float32).Dispose();
        if (ops.Features.TokenSampler is { } sampler)
            Sample(sampler, whole, best, logitsRows);
    }

    // Samples in every way: from unchanged logits, changed ones, cut ones, both, and from the best token of each rank.
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
