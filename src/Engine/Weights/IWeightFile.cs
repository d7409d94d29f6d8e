namespace LocalLlm.Weights;

/// <summary>A file of tensors that are read by position. Safe for concurrent reading.</summary>
internal interface IWeightFile : IDisposable
{
    /// <summary>The path it was opened with.</summary>
    string Path { get; }

    /// <summary>The tensors by name; every one lies within the file.</summary>
    IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Reads bytes of a tensor.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="start">First byte, relative to the tensor's start.</param>
    /// <param name="target">Filled completely.</param>
    /// <exception cref="EngineException">The file ends too early, or cannot be read
    /// (<see cref="EngineErrorKind.ModelFolder"/>).</exception>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    void Read(TensorInfo tensor, long start, Span<byte> target);
}
