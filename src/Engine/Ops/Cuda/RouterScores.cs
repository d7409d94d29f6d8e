using System.Text;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Scores of experts for many rows, on tensor cores. The float32 matrix is a sum of matrices in bfloat16 (only one if it was stored in
/// bfloat16). Their products are exact and are added in float32 (Henry, Tang and Heinecke, arXiv 1904.06376). Uses libtorch's
/// <c>aten::mm.dtype</c>, which TorchSharp does not bind.
/// </summary>
internal sealed unsafe class RouterScores : IDisposable
{
    private const int MaxParts = 3; // 3 times 8 bits of mantissa hold all of a float32
    private const ulong Float32Code = 6; // c10::ScalarType::Float
    private static readonly byte[] s_product = Encoding.ASCII.GetBytes("aten::mm\0");
    private static readonly byte[] s_dtype = Encoding.ASCII.GetBytes("dtype\0");

    private readonly Dictionary<LinearWeight, Tensor> _parts = new(ReferenceEqualityComparer.Instance);

    /// <summary>Whether rows of a type are supported.</summary>
    public static bool Takes(ScalarType type) => type == ScalarType.BFloat16;

    /// <summary>
    /// Bytes that the parts of one router take beside the float32 matrix: one part if the matrix is stored in bfloat16, else the max number
    /// of parts.
    /// </summary>
    public static long Bytes(long outputs, long inputs, bool isStoredInBfloat16) =>
        outputs * inputs * ScalarType.BFloat16.ElementSize() * (isStoredInBfloat16 ? 1 : MaxParts);

    /// <summary>x · Wᵀ: [rows, in] bfloat16 → [rows, out] float32.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="weight">[out, in] float32, without bias; it must live as long as this object.</param>
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

    // [parts · out, in]: each part is the remainder of the matrix, rounded to bfloat16, until no remainder is left.
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
