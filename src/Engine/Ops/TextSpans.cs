using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Texts in consecutive rows of a batch, without padding.</summary>
internal sealed class TextSpans : IDisposable
{
    private Tensor? _onDevice;

    /// <summary>Takes the length of each text, at least 1 token.</summary>
    public TextSpans(IReadOnlyList<int> lengths)
    {
        Lengths = lengths;
        var starts = new int[lengths.Count + 1];
        for (var i = 0; i < lengths.Count; i++)
            starts[i + 1] = starts[i] + lengths[i];
        Starts = starts;
        Longest = lengths.Max();
    }

    /// <summary>Number of tokens of each text.</summary>
    public IReadOnlyList<int> Lengths { get; }

    /// <summary>[texts + 1]: the first row of each text, and the end of the last.</summary>
    public IReadOnlyList<int> Starts { get; }

    /// <summary>Number of tokens of the longest text.</summary>
    public int Longest { get; }

    /// <summary><see cref="Starts"/> as int32 on a device; owned by this object.</summary>
    public Tensor StartsOn(Device device) => _onDevice ??= tensor([.. Starts], ScalarType.Int32).to(device).DetachFromDisposeScope();

    /// <inheritdoc/>
    public void Dispose() => _onDevice?.Dispose();
}
