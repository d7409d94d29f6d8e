using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Where the experts of a layer lie that change their ranks, as a device reads it: of an expert that n ranks hold, the rank (token of the
/// step) modulo n computes the token. Counts the tokens of every expert, by which the next places are chosen. Its tensors come with the
/// first use.
/// </summary>
/// <param name="experts">Of the layer.</param>
/// <param name="rank">This rank.</param>
/// <param name="device">Its device.</param>
internal sealed class ExpertShares(int experts, int rank, Device device) : IDisposable
{
    private int[] _rows = [];
    private Tensor? _table;
    private Tensor? _loads;

    /// <summary>This rank.</summary>
    public int Rank => rank;

    /// <summary>Int32 of an expert in <see cref="Table"/>.</summary>
    public int Width => _rows.Length / experts;

    /// <summary>
    /// [experts, <see cref="Width"/>] int32: how many ranks hold an expert, then for each of them the rank and, of this rank, the place.
    /// </summary>
    public Tensor Table => _table ??= tensor(_rows, device: device).DetachFromDisposeScope();

    /// <summary>[experts] int64, counted up by the device.</summary>
    public Tensor Loads => _loads ??= zeros(experts, ScalarType.Int64, device).DetachFromDisposeScope();

    /// <summary>Puts the experts elsewhere, from the next step on.</summary>
    /// <param name="rows">What <see cref="Table"/> is to hold, row by row.</param>
    public void Place(int[] rows)
    {
        _rows = rows;
        _table?.Dispose();
        _table = null;
    }

    /// <summary>Adds what the device has counted, once it has computed all that is queued.</summary>
    public void AddLoads(long[] loads)
    {
        if (_loads is null)
            return;
        using var here = _loads.cpu();
        var counted = here.data<long>();
        for (var expert = 0; expert < experts; expert++)
            loads[expert] += counted[expert];
    }

    /// <summary>Counts from zero again, behind the steps that are queued.</summary>
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
