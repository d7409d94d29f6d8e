using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>Turns a step of the scheduler into the model's inputs and runs the model. Owns the buffers of the inputs, not the model.</summary>
internal sealed unsafe class ModelRunner(ICausalLanguageModel model, IDeviceOps ops, IReadOnlyList<KvLayerCache> caches) : IDisposable
{
    private readonly AttentionMetadata _metadata = new();
    private readonly NativeBuffer<long> _inputIds = new();

    /// <summary>Hidden states of all tokens of the step: [tokens, hidden], in the order of its sequences.</summary>
    public Tensor Forward(SchedulerOutput step)
    {
        Prepare(step);
        var ids = empty([_inputIds.Count], ScalarType.Int64);
        _inputIds.Span.CopyTo(new Span<long>(ids.DataPointer(), _inputIds.Count));
        return model.Forward(ids.to(ops.Device), new ForwardContext(_metadata, caches));
    }

    /// <summary>Logits of some rows of the hidden states: [rows, vocabulary] float32.</summary>
    public Tensor ComputeLogits(Tensor hidden, ReadOnlySpan<int> rows) => model.ComputeLogits(ops.SelectRows(hidden, rows));

    /// <inheritdoc/>
    public void Dispose()
    {
        _metadata.Dispose();
        _inputIds.Dispose();
    }

    private void Prepare(SchedulerOutput step)
    {
        _metadata.Clear();
        _inputIds.Clear();
        model.Rotary.BeginStep();
        foreach (var sequence in step.Sequences)
        {
            var tokens = sequence.TokenIds.Span;
            var blocks = sequence.BlockTable.Span;
            var contextLength = sequence.FirstPosition + tokens.Length;
            _metadata.Sequences.Add(new(_metadata.TokenCount, tokens.Length, contextLength, _metadata.BlockTables.Count));
            _metadata.BlockTables.AddRange(blocks);
            model.Rotary.AddRows(_metadata.RotaryRows, sequence.FirstPosition, tokens.Length, sequence.PromptLength);
            for (var i = 0; i < tokens.Length; i++)
            {
                var position = sequence.FirstPosition + i;
                _inputIds.Add(tokens[i]);
                _metadata.SlotMapping.Add((blocks[position / AttentionMetadata.BlockSize] * AttentionMetadata.BlockSize) + (position % AttentionMetadata.BlockSize));
            }
        }
    }
}
