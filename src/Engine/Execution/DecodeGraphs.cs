using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// Decode steps recorded at padded numbers of rows (vLLM's CUDA graphs). A step of n sequences replays the smallest recording with at
/// least n rows. Recordings are made largest first, and again if an operand has moved. All of them work in the device's own buffers.
/// </summary>
/// <remarks>With <c>eager</c> the same padded steps run without recordings, so that both ways give the same bits.</remarks>
internal sealed class DecodeGraphs(
    ICausalLanguageModel model, IGraphCapture capture, IReadOnlyList<KvLayerCache> caches, int maxRows, int maxModelLen, bool eager) : IDisposable
{
    // vLLM's sizes: 1, 2, 4, then multiples of 8 up to 256, then multiples of 16.
    private const int FineStep = 8;
    private const int CoarseStep = 16;
    private const int CoarseFrom = 256;
    private const int MaxRounds = 4;

    private readonly Dictionary<int, Record> _records = [];
    private readonly int[] _sizes = [.. Sizes(maxRows)];
    private long _version;

    /// <summary>Records every size.</summary>
    public void CaptureAll()
    {
        if (eager)
            return;
        using var noGradients = inference_mode();

        // Largest first, which grows the buffers to their final size. If a buffer still grew later, the earlier recordings are made again.
        for (var round = 0; round < MaxRounds && _records.Count < _sizes.Length; round++)
        {
            foreach (var size in _sizes.Reverse())
                Get(size);
        }
    }

    /// <summary>
    /// The rows of the smallest recording with at least <paramref name="rows"/> rows; if there is none, the same number.
    /// </summary>
    public int PaddedRows(int rows)
    {
        var index = Array.BinarySearch(_sizes, rows);
        return index >= 0 || ~index == _sizes.Length ? rows : _sizes[~index];
    }

    /// <summary>Replays a decode step.</summary>
    /// <param name="ids">One token id for each sequence.</param>
    /// <param name="metadata">The step, with one token for each sequence.</param>
    /// <returns>
    /// Logits [padded rows, this rank's part of the vocabulary], or the residual stream if this stage gives no logits, valid until the
    /// next step; null: no recording has so many rows.
    /// </returns>
    public Tensor? TryReplay(ReadOnlySpan<int> ids, AttentionMetadata metadata)
    {
        if (ids.Length > maxRows)
            return null;
        var size = PaddedRows(ids.Length);
        if (eager)
            return Run(capture.BeginStep(ids, metadata, size), metadata);
        var record = Get(size);
        capture.BeginStep(ids, metadata, size);
        if (capture.Version != _version)
        {
            // The inputs themselves moved to a larger buffer, so the recording must be made again.
            record = Get(size);
            capture.BeginStep(ids, metadata, size);
        }

        record.Graph.Launch();
        return record.Logits;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var record in _records.Values)
            record.Dispose();
        _records.Clear();
    }

    private static IEnumerable<int> Sizes(int maxRows)
    {
        for (var size = 1; size < maxRows; size += size < FineStep ? size : size < CoarseFrom ? FineStep : CoarseStep)
            yield return size;
        yield return maxRows;
    }

    private Record Get(int size)
    {
        if (capture.Version != _version)
            Dispose();
        if (_records.TryGetValue(size, out var known))
            return known;
        var before = capture.Version;
        var record = Capture(size);
        if (capture.Version != before)
            Dispose();
        _version = capture.Version;
        _records.Add(size, record);
        return record;
    }

    private Record Capture(int size)
    {
        using var metadata = new AttentionMetadata();
        using var ids = capture.BeginStep([], metadata, size);
        Run(ids, metadata).Dispose();
        Tensor? logits = null;
        var graph = capture.Capture(() => logits = Run(ids, metadata));
        return new(graph, logits!.DetachFromDisposeScope());
    }

    private Tensor Run(Tensor ids, AttentionMetadata metadata)
    {
        using var scope = NewDisposeScope();
        // Contexts of later steps may be longer, and this bound alone determines how attention is split.
        metadata.ContextBound = maxModelLen;
        try
        {
            var hidden = model.Forward(ids, new ForwardContext(metadata, caches));
            return (model.GivesLogits ? model.ComputeLogits(hidden) : hidden).MoveToOuterDisposeScope();
        }
        finally
        {
            metadata.ContextBound = 0;
        }
    }

    private sealed record Record(ICapturedGraph Graph, Tensor Logits) : IDisposable
    {
        public void Dispose()
        {
            Graph.Dispose();
            Logits.Dispose();
        }
    }
}
