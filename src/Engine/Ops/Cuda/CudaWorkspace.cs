using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The results of a layer that are alive at the same time.</summary>
internal enum WorkspaceSlot
{
    Hidden,
    Normed,
    Qkv,
    Attention,
    GateUp,
    Activation,
    Selected,
    Logits,
    Keys,
    Values,
    Partials,
    Counters,
    Output,
    Processed,
    Gathered,
    GatheredParts,
    LatentDown,
    Router,
    Absorbed,
    Mixed,
    LatentContext,
    ExpertIds,
    ExpertPlaces,
    ExpertWeights,
    ExpertOrder,
    ExpertInner,
    ExpertResults,
    ExpertSums,
    Quantised,
    QuantisedScales,
    ExpertTiles,
    TiledRows,
    TiledScales,
    PaddedQueries,
    RowMaxima,
    BestTokens,
}

/// <summary>
/// One buffer for each kind of result, reused by every layer and step: nothing is allocated in steady state, and a captured graph finds its
/// operands where they were. A result is valid until someone rents the same kind of result again. Buffers grow on demand, but only while
/// the model is loaded: they must have their final size when memory is measured.
/// </summary>
internal sealed class CudaWorkspace(Device device) : IDisposable
{
    private readonly Dictionary<(WorkspaceSlot Slot, ScalarType Type), Tensor> _buffers = [];

    // The views rented last: all layers of a step rent the same.
    private readonly Dictionary<(WorkspaceSlot Slot, ScalarType Type), (long Rows, long Width, Tensor View)> _views = [];

    private readonly HashSet<WorkspaceSlot> _grown = [];
    private bool _isSettled;

    /// <summary>
    /// Changes whenever a buffer has moved; graphs captured before that are invalid. Slots that no graph uses do not count.
    /// </summary>
    public int Version { get; private set; }

    /// <summary>The slots whose buffers have grown since <see cref="Settle"/>; any such slot is a fault.</summary>
    public IReadOnlyCollection<WorkspaceSlot> Grown => _grown;

    /// <summary>Records growth in <see cref="Grown"/> from here on.</summary>
    public void Settle()
    {
        _grown.Clear();
        _isSettled = true;
    }

    /// <summary>Allocates room for this many elements: no later step has to.</summary>
    public void Reserve(WorkspaceSlot slot, long elements, ScalarType type)
    {
        if (_buffers.TryGetValue((slot, type), out var buffer) && buffer.numel() >= elements)
            return;
        if (_views.Remove((slot, type), out var last))
            last.View.Dispose();
        Grow(slot, elements, type);
    }

    /// <summary>An uninitialised [rows, width] view of a slot's buffer, of the current dispose scope.</summary>
    public Tensor Rent(WorkspaceSlot slot, long rows, long width, ScalarType type)
    {
        if (_views.TryGetValue((slot, type), out var last))
        {
            if (last.Rows == rows && last.Width == width)
                return last.View.alias();
            last.View.Dispose();
            _views.Remove((slot, type));
        }

        if (!_buffers.TryGetValue((slot, type), out var buffer) || buffer.numel() < rows * width)
        {
            buffer = Grow(slot, rows * width, type);
        }

        using var flat = buffer.narrow(0, 0, rows * width);
        var view = flat.view(rows, width).DetachFromDisposeScope();
        _views.Add((slot, type), (rows, width, view));
        return view.alias();
    }

    private Tensor Grow(WorkspaceSlot slot, long elements, ScalarType type)
    {
        // Remove the old buffer first: if memory is short, the allocation fails and the slot must stay usable.
        if (_buffers.Remove((slot, type), out var old))
            old.Dispose();
        if (!IsOutsideGraphs(slot))
            Version++;
        if (_isSettled)
            _grown.Add(slot);
        // Zeroed: the counters of a split attention must begin at 0.
        return _buffers[(slot, type)] = zeros(elements, type, device).DetachFromDisposeScope();
    }

    // Gathered keys and values, selected rows, the logits to sample from, and tiles of many rows.
    private static bool IsOutsideGraphs(WorkspaceSlot slot) => slot is WorkspaceSlot.Keys or WorkspaceSlot.Values or WorkspaceSlot.LatentContext
        or WorkspaceSlot.PaddedQueries or WorkspaceSlot.Processed or WorkspaceSlot.Selected or WorkspaceSlot.RowMaxima or WorkspaceSlot.BestTokens
        or WorkspaceSlot.ExpertTiles or WorkspaceSlot.TiledRows or WorkspaceSlot.TiledScales;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, _, view) in _views.Values)
            view.Dispose();
        _views.Clear();
        foreach (var buffer in _buffers.Values)
            buffer.Dispose();
        _buffers.Clear();
    }
}
