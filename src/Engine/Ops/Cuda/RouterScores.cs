using System.Text;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Scores of experts of many rows, on tensor cores: a float32 matrix as a sum of matrices in bfloat16 (one, if that is how it was stored),
/// whose products are exact and are added in float32 (Henry, Tang and Heinecke, arXiv 1904.06376). By libtorch's <c>aten::mm.dtype</c>,
/// which TorchSharp does not bind.
/// </summary>
internal sealed unsafe class RouterScores : IDisposable
{
    private const int MaxParts = 3; // 3 times 8 bits of mantissa are all of a float32
    private const ulong Float32Code = 6; // c10::ScalarType::Float
    private static readonly byte[] s_product = Encoding.ASCII.GetBytes("aten::mm\0");
    private static readonly byte[] s_dtype = Encoding.ASCII.GetBytes("dtype\0");

    private readonly Dictionary<LinearWeight, Tensor> _parts = new(ReferenceEqualityComparer.Instance);

    /// <summary>Whether it multiplies rows of a type.</summary>
    public static bool Takes(ScalarType type) => type == ScalarType.BFloat16;

    /// <summary>
    /// Bytes of the parts of one router, beside the float32 matrix: of one part where it is stored in bfloat16, else of as many as there
    /// may be.
    /// </summary>
    public static long Bytes(long outputs, long inputs, bool isStoredInBfloat16) =>
        outputs * inputs * ScalarType.BFloat16.ElementSize() * (isStoredInBfloat16 ? 1 : MaxParts);

    /// <summary>x · Wᵀ: [rows, in] bfloat16 → [rows, out] float32.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="weight">[out, in] float32, without bias; it must live as long as this.</param>
    public Tensor Multiply(Tensor x, LinearWeight weight)
    {
        if (!_parts.TryGetValue(weight, out var parts))
            _parts.Add(weight, parts = PartsOf(weight.Data).DetachFromDisposeScope());
        ulong* stack = stackalloc ulong[] { TorchDispatcher.Argument(x), TorchDispatcher.Argument(parts.t()), Float32Code };
        TorchDispatcher.Call(s_product, stack, "the product of a router", s_dtype);
        var products = Tensor.UnsafeCreateTensor((IntPtr)stack[0]); // [rows, parts · out]
        return parts.size(0) == weight.OutFeatures
            ? products
            : products.view(x.size(0), parts.size(0) / weight.OutFeatures, weight.OutFeatures).sum(1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var parts in _parts.Values)
            parts.Dispose();
        _parts.Clear();
    }

    // [parts · out, in]: what is left of the matrix is rounded again and again, until nothing is.
    private static Tensor PartsOf(Tensor matrix)
    {
        using var scope = NewDisposeScope();
        var (left, parts) = (matrix, new List<Tensor>());
        do
        {
            parts.Add(left.to(ScalarType.BFloat16));
            left = left.Plus(parts[^1].to(ScalarType.Float32).neg());
        }
        while (parts.Count < MaxParts && left.count_nonzero().item<long>() > 0);
        return cat(parts, 0).MoveToOuterDisposeScope();
    }
}
