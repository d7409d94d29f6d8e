namespace LocalLlm.Weights;

/// <summary>Reads the part of a tensor that a rank holds. Safe for concurrent reading.</summary>
internal readonly struct SliceReader
{
    private readonly TensorRef _tensor;
    private readonly long _first; // first byte of the first run
    private readonly long _stride; // bytes from one run to the next
    private readonly long _runBytes;

    /// <summary>A slice of dimension 0 is one run of bytes; one of dimension 1 is a run in every row.</summary>
    public SliceReader(Checkpoint checkpoint, WeightSpec spec)
    {
        _tensor = checkpoint.Tensors[spec.Name];
        var runs = spec.Dimension == 0 ? 1 : spec.Shape[0];
        _stride = _tensor.Info.ByteLength / runs;
        var indexBytes = _stride / spec.Shape[spec.Dimension];
        _first = indexBytes * spec.Start;
        _runBytes = indexBytes * spec.Length;
        ByteLength = _runBytes * runs;
    }

    /// <summary>Bytes of the slice.</summary>
    public long ByteLength { get; }

    /// <summary>Reads bytes at a position in the slice.</summary>
    /// <exception cref="EngineException">The file cannot be read.</exception>
    public void Read(long start, Span<byte> target)
    {
        while (target.Length > 0)
        {
            var (run, inRun) = Math.DivRem(start, _runBytes);
            var count = (int)Math.Min(target.Length, _runBytes - inRun);
            _tensor.File.Read(_tensor.Info, _first + (run * _stride) + inRun, target[..count]);
            start += count;
            target = target[count..];
        }
    }
}
