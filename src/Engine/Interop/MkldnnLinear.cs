using System.Runtime.Intrinsics.X86;
using System.Text;
using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>
/// oneDNN's linear layer with weights that are reordered once (<c>mkldnn::_reorder_linear_weight</c>, <c>mkldnn::_linear_pointwise</c>);
/// TorchSharp does not bind these operators. One packed copy serves every batch size and streams at the memory's full rate.
/// </summary>
internal static unsafe class MkldnnLinear
{
    private const string What = "oneDNN's packed linear layer";
    private static readonly byte[] ReorderName = Encoding.ASCII.GetBytes("mkldnn::_reorder_linear_weight\0");
    private static readonly byte[] LinearName = Encoding.ASCII.GetBytes("mkldnn::_linear_pointwise\0");
    private static readonly byte[] AddressName = Encoding.ASCII.GetBytes("mkldnn::data_ptr\0");
    private static readonly byte[] LengthName = Encoding.ASCII.GetBytes("mkldnn::_nbytes\0");
    private static readonly byte[] NoFusion = Encoding.ASCII.GetBytes("none");

    /// <summary>Whether oneDNN multiplies bfloat16 on this processor.</summary>
    public static bool TakesBFloat16()
    {
        if (!Avx512BW.IsSupported)
            return false;
        using var scope = torch.NewDisposeScope();
        try
        {
            using var packed = Pack(torch.zeros([32, 32], torch.ScalarType.BFloat16));
            using var result = Apply(torch.zeros([1, 32], torch.ScalarType.BFloat16), packed, null);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>Reorders a weight; the result is an opaque tensor of the same element count, owned by the caller.</summary>
    /// <param name="weight">[out, in], bfloat16 or float32, contiguous.</param>
    public static torch.Tensor Pack(torch.Tensor weight)
    {
        const ulong typicalBatch = 16;
        ulong* stack = stackalloc ulong[2];
        stack[0] = TorchDispatcher.Argument(weight);
        stack[1] = TorchDispatcher.Some(typicalBatch);
        TorchDispatcher.Call(ReorderName, stack, What);
        return torch.Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }

    /// <summary>
    /// The address of a packed weight, valid as long as the weight exists; only oneDNN knows its layout. Zero: this libtorch does not give
    /// it.
    /// </summary>
    public static (IntPtr Address, long Bytes) MemoryOf(torch.Tensor packedWeight)
    {
        var stack = stackalloc ulong[1];
        try
        {
            stack[0] = TorchDispatcher.Argument(packedWeight);
            TorchDispatcher.Call(AddressName, stack, What);
            var address = (IntPtr)stack[0];
            stack[0] = TorchDispatcher.Argument(packedWeight);
            TorchDispatcher.Call(LengthName, stack, What);
            return (address, (long)stack[0]);
        }
        catch (InvalidOperationException)
        {
            return (IntPtr.Zero, 0);
        }
    }

    /// <summary>x · Wᵀ + bias.</summary>
    /// <param name="x">[rows, in], contiguous, of the weight's type.</param>
    /// <param name="packedWeight">The result of <see cref="Pack"/>.</param>
    /// <param name="bias">[out] or null.</param>
    /// <returns>[rows, out].</returns>
    public static torch.Tensor Apply(torch.Tensor x, torch.Tensor packedWeight, torch.Tensor? bias)
    {
        IntPtr text, emptyText, emptyList;
        fixed (byte* none = NoFusion)
            TorchDispatcher.Check(TorchShim.torch_new_string_handle(none, (nuint)NoFusion.Length, &text), What);
        byte nothing = 0;
        TorchDispatcher.Check(TorchShim.torch_new_string_handle(&nothing, 0, &emptyText), What);
        TorchDispatcher.Check(TorchShim.torch_new_list_reserve_size(0, &emptyList), What);

        ulong* stack = stackalloc ulong[6];
        stack[0] = TorchDispatcher.Argument(x);
        stack[1] = TorchDispatcher.Argument(packedWeight);
        stack[2] = bias is null ? 0 : TorchDispatcher.Some(TorchDispatcher.Argument(bias));
        stack[3] = (ulong)text;
        stack[4] = (ulong)emptyList;
        stack[5] = TorchDispatcher.Some((ulong)emptyText);
        TorchDispatcher.Call(LinearName, stack, What);
        return torch.Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }
}
