namespace LocalLlm.Weights;

/// <summary>One tensor of a safetensors file. Row-major, little-endian.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Dtype">The element type.</param>
/// <param name="Shape">The dimensions; empty for a scalar; any may be 0.</param>
/// <param name="Offset">First byte, counted from the start of the file.</param>
/// <param name="ByteLength">Bytes of data; 0 if a dimension is 0.</param>
internal sealed record TensorInfo(string Name, SafetensorsDtype Dtype, long[] Shape, long Offset, long ByteLength)
{
    /// <summary>If the type is <see cref="SafetensorsDtype.Other"/>, its name as the file writes it.</summary>
    public string? OtherType { get; init; }

    /// <summary>The type's name for messages; the file's name for an unreadable type is quoted.</summary>
    public string TypeName => OtherType is null ? Dtype.Name() : ModelFolderProblems.Quote(OtherType);
}
