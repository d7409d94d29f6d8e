using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Texts that stand one after the other in the rows of a batch, without padding.</summary>
internal sealed class TextSpans : IDisposable
{
    private Tensor? _onDevice;

    /// <summary>Texts of 1 or more tokens each.</summary>
    public TextSpans(IReadOnlyList<int> lengths)
    {
        Lengths = lengths;
        var starts = new int[lengths.Count + 1];
        for (var i = 0; i < lengths.Count; i++)
            starts[i + 1] = starts[i] + lengths[i];
        Starts = starts;
        Longest = lengths.Max();
    }

    /// <summary>Tokens of each text.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>[texts + 1]: the first row of each text, and the end of the last.</summary>
    public IReadOnlyList<int> Starts { get; }

    /// <summary>Most tokens of a text.</summary>
    public int Longest { get; }

    /// <summary><see cref="Starts"/> as int32 on a device; owned by this.</summary>
    public Tensor StartsOn(Device device) => _onDevice ??= tensor([.. Starts], ScalarType.Int32).to(device).DetachFromDisposeScope();

    /// <inheritdoc/>
    public void Dispose() => _onDevice?.Dispose();
}
