namespace LocalLlm.Weights;

/// <summary>
/// A state dict as torch.save writes it (<c>pytorch_model.bin</c>, <c>*.pt</c>), read as data. Nothing in the pickle is executed; anything
/// not on the lists of <see cref="PickleReader"/> and <see cref="PickleGlobal"/> is an error. Opening reads the zip directory and the
/// pickle, both of bounded size; tensors are read by position on demand. Safe for concurrent reading.
/// </summary>
internal sealed class TorchPickleFile : IWeightFile
{
    private readonly CheckedFile _file;

    private TorchPickleFile(CheckedFile file, Dictionary<string, TensorInfo> tensors)
    {
        _file = file;
        Tensors = tensors;
    }

    /// <inheritdoc/>
    public string Path => _file.Path;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Opens a file and checks everything except the tensors' values.</summary>
    /// <exception cref="EngineException">
    /// The file is missing, unreadable, of an older format, or breaks a rule (<see cref="EngineErrorKind.ModelFolder"/>), which the error
    /// names.
    /// </exception>
    public static TorchPickleFile Open(string path)
    {
        var file = CheckedFile.Open(path);
        try
        {
            var archive = TorchArchive.Open(file);
            var value = PickleReader.Read(file.Name, archive.ReadPickle());
            return new TorchPickleFile(file, TorchTensors.Place(file, archive, value));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(TensorInfo tensor, long start, Span<byte> target)
    {
        if (start < 0 || start > tensor.ByteLength - target.Length)
            throw new ArgumentOutOfRangeException(nameof(start), start, $"{target.Length} bytes of tensor {tensor.Name}, which has {tensor.ByteLength}");
        _file.Read(tensor.Offset + start, target);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
