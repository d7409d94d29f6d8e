using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// The ranks that hold each expert of a layer whose experts change ranks, in the form that a device reads. If n ranks hold an expert, the
/// token's index in the step modulo n selects the one that computes it. Counts the tokens of every expert: the next placement follows from
/// the counts. Tensors are allocated on first use.
/// </summary>
/// <param name="experts">Number of experts of the layer.</param>
/// <param name="rank">This rank.</param>
/// <param name="device">Its device.</param>
internal sealed class ExpertShares(int experts, int rank, Device device) : IDisposable
{
    private int[] _rows = [];
    private Tensor? _table;
    private Tensor? _loads;

    /// <summary>This rank.</summary>
    public int Rank => rank;

    /// <summary>Number of int32 of an expert in <see cref="Table"/>.</summary>
    public int Width => _rows.Length / experts;

    /// <summary>
    /// [experts, <see cref="Width"/>] int32: how many ranks hold the expert, then each rank's number and, for this rank, the place.
    /// </summary>
    public Tensor Table => _table ??= tensor(_rows, device: device).DetachFromDisposeScope();

    /// <summary>[experts] int64, counted up by the device.</summary>
    public Tensor Loads => _loads ??= zeros(experts, ScalarType.Int64, device).DetachFromDisposeScope();

    /// <summary>Changes the placement of the experts, from the next step on.</summary>
    /// <param name="rows">The new content of <see cref="Table"/>, row by row.</param>
    public void Place(int[] rows)
    {
        _rows = rows;
        _table?.Dispose();
        _table = null;
    }

    /// <summary>Waits for all queued work, then adds the device's counts to <paramref name="loads"/>.</summary>
    public void AddLoads(long[] loads)
    {
        if (_loads is null)
            return;
        using var here = _loads.cpu();
        var counted = here.data<long>();
        for (var expert = 0; expert < experts; expert++)
            loads[expert] += counted[expert];
    }

    /// <summary>Resets the counts to zero, after the queued steps.</summary>
    public void Clear()
    {
        using var noGradients = inference_mode(); // as where they were allocated
        _loads?.zero_();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _table?.Dispose();
        _loads?.Dispose();
        _table = _loads = null;
    }
}
