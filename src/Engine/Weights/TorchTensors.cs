using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// Turns the pickle's value into tensors in the file. Every number that the pickle gives for a tensor is checked against the archive's
/// entry. Storages may be shared (tied weights). A tensor must be contiguous and row-major; as in safetensors, a transposed or broadcast
/// view is refused.
/// </summary>
internal static class TorchTensors
{
    /// <summary>Locates every tensor of a state dict in the file.</summary>
    /// <exception cref="EngineException">The value is not a dictionary of tensors, or a tensor does not lie within its storage.</exception>
    public static Dictionary<string, TensorInfo> Place(CheckedFile file, TorchArchive archive, PickleValue value)
    {
        if (value is not PickleDict dict)
            throw file.Error($"holds {value.Kind}; a state dict, names to tensors, was wanted");
        var tensors = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
        foreach (var (name, item) in dict.Items)
        {
            if (item is not PickleTensor tensor)
                throw file.Error($"{Quote(name)} is {item.Kind}, wanted a tensor: save the model's state_dict() alone, not a whole training checkpoint");
            tensors.Add(name, Place(file, archive, name, tensor));
        }

        return tensors;
    }

    private static TensorInfo Place(CheckedFile file, TorchArchive archive, string name, PickleTensor tensor)
    {
        var (storage, shape) = (tensor.Storage, tensor.Shape);
        var size = tensor.Dtype.ByteSize();
        var entry = archive.Storage(storage.Key) ?? throw Error($"its storage {storage.Key} is not in the archive");
        if (storage.Count < 0 || (Int128)storage.Count * (storage.Dtype?.ByteSize() ?? 1) != entry.Length)
            throw Error($"found a storage of {storage.Count} elements, but {entry.Length} bytes of it in the archive");
        if (tensor.Offset < 0 || shape.Any(dim => dim < 0) || tensor.Strides.Any(stride => stride < 0))
            throw Error($"found offset {tensor.Offset}, shape {Text(shape)}, strides {Text(tensor.Strides)}, wanted none below 0");

        // Left to right and overflow-checked, so that a later 0 does not excuse an earlier overflow.
        long bytes = size, first;
        try
        {
            foreach (var dim in shape)
                bytes = checked(bytes * dim);
            first = checked(tensor.Offset * size);
        }
        catch (OverflowException e)
        {
            throw EngineException.ModelFolder(file.Name, $"tensor {Quote(name)}: shape {Text(shape)} at {tensor.Offset} overflows 63 bits", e);
        }

        if (first > entry.Length || bytes > entry.Length - first)
            throw Error($"found shape {Text(shape)} of {tensor.Dtype.Name()} at element {tensor.Offset}, which leaves its storage of {entry.Length} bytes");
        if (!IsContiguous(shape, tensor.Strides))
            throw Error($"found shape {Text(shape)} with strides {Text(tensor.Strides)}, wanted a contiguous tensor: save it after .contiguous()");
        return new TensorInfo(name, tensor.Dtype, shape, entry.Offset + first, bytes);

        EngineException Error(string problem) => file.Error($"tensor {Quote(name)}: {problem}");
    }

    // The stride of a dimension of 1 is never used, and neither are the strides of an empty tensor.
    private static bool IsContiguous(long[] shape, long[] strides)
    {
        if (shape.Contains(0))
            return true;
        var expected = 1L;
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            if (shape[i] != 1 && strides[i] != expected)
                return false;
            expected *= shape[i];
        }

        return true;
    }

    private static string Text(long[] numbers) => $"[{string.Join(", ", numbers)}]";
}
