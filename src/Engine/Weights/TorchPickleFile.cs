using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>
/// A state dict as torch.save writes it (<c>pytorch_model.bin</c>, <c>*.pt</c>), read as data: nothing of the pickle is executed, and what is not
/// on the lists of <see cref="PickleReader"/> and <see cref="PickleGlobal"/> is an error. Opening reads the zip directory and the pickle, of bounded
/// size; tensors are read by their position, when they are asked for. Safe for concurrent reading.
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

    /// <summary>Opens a file and checks all of it but the tensors' values.</summary>
    /// <exception cref="EngineException">
    /// The file is missing, unreadable, of an older format, or breaks a rule (<see cref="EngineErrorKind.ModelFolder"/>); one error that names it.
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

    /// <summary>Reads a whole tensor into the host's memory, in its own type and shape; of the current dispose scope.</summary>
    /// <exception cref="EngineException">It is of a type that libtorch does not have here, or cannot be read.</exception>
    public unsafe Tensor Read(TensorInfo tensor)
    {
        const int MostAtOnce = 1 << 30;
        var result = empty(tensor.Shape, TypeOf(tensor));
        try
        {
            var target = tensor.ByteLength > 0 ? (byte*)result.DataPointer() : null;
            for (long start = 0; start < tensor.ByteLength; start += MostAtOnce)
                Read(tensor, start, new Span<byte>(target + start, (int)Math.Min(MostAtOnce, tensor.ByteLength - start)));
            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private ScalarType TypeOf(TensorInfo tensor) => tensor.Dtype switch
    {
        SafetensorsDtype.F32 => ScalarType.Float32,
        SafetensorsDtype.F16 => ScalarType.Float16,
        SafetensorsDtype.BF16 => ScalarType.BFloat16,
        SafetensorsDtype.F64 => ScalarType.Float64,
        SafetensorsDtype.I64 => ScalarType.Int64,
        SafetensorsDtype.I32 => ScalarType.Int32,
        SafetensorsDtype.I16 => ScalarType.Int16,
        SafetensorsDtype.I8 => ScalarType.Int8,
        SafetensorsDtype.U8 => ScalarType.Byte,
        SafetensorsDtype.Bool => ScalarType.Bool,
        _ => throw _file.Error($"tensor {ModelFolderProblems.Quote(tensor.Name)}: found {tensor.Dtype.Name()}, which cannot be computed with"),
    };
}
