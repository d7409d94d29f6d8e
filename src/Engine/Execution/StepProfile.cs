using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
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

    /// <summary>Prompts of <paramref name="maxTokens"/> and of few tokens, and logits of <paramref name="maxSequences"/> rows; nothing is kept.</summary>
    public static void Run(ICausalLanguageModel model, IDeviceOps ops, ScalarType cacheType, int maxTokens, int maxSequences)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var caches = KvCacheTensors.Allocate(ops, model.KvCache, 1, cacheType);
        for (var tokens = Math.Min(FewTokens, maxTokens - 1); tokens > 0; tokens--)
            RunStep(model, ops, caches, tokens, tokens);
        RunStep(model, ops, caches, maxTokens, Math.Min(maxTokens, Math.Max(maxSequences, LocalExecutor.PromptLogitsRows)));
        foreach (var cache in caches)
            cache.Dispose();
    }

    private static void RunStep(ICausalLanguageModel model, IDeviceOps ops, IReadOnlyList<KvLayerCache> caches, int tokens, int logitsRows)
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

        var context = new ForwardContext(metadata, caches);
        var hidden = model.Forward(ops.BeginStep(new int[tokens], metadata), context);
        if (model.Predictor is { } predictor)
        {
            using var ofDraft = NewDisposeScope();
            var next = predictor.Forward(hidden, isOfModel: true, zeros(tokens, ScalarType.Int64, hidden.device), context);
            predictor.ComputeLogits(next.narrow(0, 0, logitsRows))?.argmax(-1);
        }

        if (!model.GivesLogits || model.ComputeLogits(ops.SelectRows(hidden, Enumerable.Range(0, logitsRows).ToArray())) is not { } logits)
            return;
        logits.to(float32).Dispose();
        if (ops.Features.TokenSampler is { } sampler)
            Sample(sampler, logits, logitsRows);
    }

    // In every way: as they are, changed, cut, and both.
    private static void Sample(ITokenSampler sampler, Tensor logits, int rows)
    {
        using var batch = new SamplingBatch();
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
