using System.Text;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>libtorch's <c>aten::bmm.out</c>, which writes its results directly to where they are read next.</summary>
internal static unsafe class HeadProducts
{
    private static readonly byte[] s_bmm = Encoding.ASCII.GetBytes("aten::bmm\0");
    private static readonly byte[] s_out = Encoding.ASCII.GetBytes("out\0");

    /// <summary>y = a · b for each head.</summary>
    /// <param name="a">[heads, rows, in]; all heads may share the same memory.</param>
    /// <param name="b">[heads, in, out].</param>
    /// <param name="y">[heads, rows, out]; rows may have gaps between them, whose contents are kept.</param>
    public static void Multiply(Tensor a, Tensor b, Tensor y)
    {
        ulong* stack = stackalloc ulong[] { TorchDispatcher.Argument(a), TorchDispatcher.Argument(b), TorchDispatcher.Argument(y) };
        TorchDispatcher.Call(s_bmm, stack, "a product for each head", s_out);
        _ = TorchShim.aoti_torch_delete_tensor_object((IntPtr)stack[0]);
    }
}
