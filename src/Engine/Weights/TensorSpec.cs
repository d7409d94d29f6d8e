namespace LocalLlm.Weights;

/// <summary>What a <see cref="SafetensorsWriter"/> needs to know about a tensor before its bytes.</summary>
/// <param name="Name">The tensor's name; unique in the file.</param>
/// <param name="Dtype">The element type.</param>
/// <param name="Shape">The dimensions; empty for a scalar.</param>
internal readonly record struct TensorSpec(string Name, SafetensorsDtype Dtype, long[] Shape)
{
    /// <summary>Bytes of the tensor's data.</summary>
    /// <exception cref="OverflowException">The number exceeds 63 bits.</exception>
    public long ByteLength
    {
        get
        {
            long size = Dtype.ByteSize();
            foreach (var dim in Shape)
                size = checked(size * dim);
            return size;
        }
    }
}
