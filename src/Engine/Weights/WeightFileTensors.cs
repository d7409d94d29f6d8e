using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>Reads tensors of a file as libtorch tensors.</summary>
internal static class WeightFileTensors
{
    /// <summary>Reads a whole tensor into host memory, in its own type and shape, in the current dispose scope.</summary>
    /// <exception cref="EngineException">Its type has no libtorch equivalent here, or it cannot be read.</exception>
    public static unsafe Tensor ReadTensor(this IWeightFile file, TensorInfo tensor)
    {
        const int MaxAtOnce = 1 << 30;
        var result = empty(tensor.Shape, TypeOf(file, tensor));
        try
        {
            var target = tensor.ByteLength > 0 ? (byte*)result.DataPointer() : null;
            for (long start = 0; start < tensor.ByteLength; start += MaxAtOnce)
                file.Read(tensor, start, new Span<byte>(target + start, (int)Math.Min(MaxAtOnce, tensor.ByteLength - start)));
            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    private static ScalarType TypeOf(IWeightFile file, TensorInfo tensor) => tensor.Dtype switch
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
        _ => throw EngineException.ModelFolder(Path.GetFileName(file.Path), $"tensor {ModelFolderProblems.Quote(tensor.Name)}: found type {tensor.TypeName}, which cannot be computed with"),
    };
}
