using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>Runs the largest step that the options allow, so that every buffer has its final size before the KV cache is sized.</summary>
internal static class StepProfile
{
    /// <summary>One prompt of <paramref name="maxTokens"/> tokens, and logits of <paramref name="maxSequences"/> rows; nothing is kept.</summary>
    public static void Run(ICausalLanguageModel model, IDeviceOps ops, ScalarType type, int maxTokens, int maxSequences)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var caches = KvCacheTensors.Allocate(ops, model.AttentionShapes, 1, type);
        using var metadata = new AttentionMetadata();
        metadata.Sequences.Add(new(0, maxTokens, maxTokens, 0));
        // Every position is in the one block that there is.
        for (var block = 0; block < maxTokens; block += AttentionMetadata.BlockSize)
            metadata.BlockTables.Add(0);
        model.Rotary.BeginStep();
        for (var token = 0; token < maxTokens; token++)
        {
            model.Rotary.AddRows(metadata.RotaryRows, 0, 1, 1);
            metadata.SlotMapping.Add(token % AttentionMetadata.BlockSize);
        }

        var hidden = model.Forward(ops.BeginStep(new int[maxTokens], metadata), new ForwardContext(metadata, caches));
        var rows = Enumerable.Range(0, Math.Min(maxTokens, Math.Max(maxSequences, Worker.PromptLogitsRows))).ToArray();
        var logits = model.ComputeLogits(ops.SelectRows(hidden, rows));
        logits.to(float32).Dispose();
        if (ops.SamplesTokens)
        {
            // Of the kind that takes the most memory: logits are changed and cut.
            using var batch = new SamplingBatch();
            foreach (var _ in rows)
                batch.Add(new(0, 1, TopK: 1), new() { AllowedCount = -1, RepetitionPenalty = 1 });
            ops.BeginSample(logits, batch);
            ops.EndSample(new int[rows.Length]);
        }

        foreach (var cache in caches)
            cache.Dispose();
    }
}
