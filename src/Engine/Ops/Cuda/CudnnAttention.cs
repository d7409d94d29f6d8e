using System.Text;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// libtorch's <c>aten::scaled_dot_product_attention</c> where it uses cuDNN (on Hopper, with cuDNN 9.15.1 or newer): about twice as fast
/// as <see cref="FlashAttention"/>, and values may be narrower than keys. A query sees the keys up to its own. (libtorch's own operator for
/// cuDNN returns integers between tensors, which libtorch's C shim cannot return.)
/// </summary>
internal static unsafe class CudnnAttention
{
    private const int Arguments = 8;
    private const ulong CudnnBackend = 3; // at::SDPBackend::cudnn_attention
    private const int TriedRows = 256;
    private const int Heads = 2;
    private const double MaxError = 0.02; // results are rounded to 8 bits, and so are the attention weights before them
    private static readonly byte[] Name = Encoding.ASCII.GetBytes("aten::scaled_dot_product_attention\0");
    private static readonly byte[] Choice = Encoding.ASCII.GetBytes("aten::_fused_sdp_choice\0");

    /// <summary>Attention of one sequence.</summary>
    /// <param name="queries">[1, heads, rows, query_dim], float16 or bfloat16; only the last dimension must be dense.</param>
    /// <param name="keys">[1, heads, rows, query_dim].</param>
    /// <param name="values">[1, heads, rows, value_dim].</param>
    /// <param name="scale">Factor on the scores.</param>
    /// <returns>[1, heads, rows, value_dim], a new tensor.</returns>
    public static Tensor Forward(Tensor queries, Tensor keys, Tensor values, float scale)
    {
        ulong* stack = stackalloc ulong[Arguments];
        Call(Name, stack, queries, keys, values, scale);
        return Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }

    /// <summary>Tries a few rows: whether the operator exists, and is correct for heads of this shape.</summary>
    public static bool Try(ScalarType type, LatentAttentionShape shape, Device device)
    {
        using var scope = NewDisposeScope();
        Tensor Some(int width, float step) =>
            tensor([.. Enumerable.Range(0, Heads * TriedRows * width).Select(i => MathF.Sin(i * step))]).view(1, Heads, TriedRows, width).to(type).to(device);
        var (queries, keys, values) = (Some(shape.QueryDim, 0.37f), Some(shape.QueryDim, 0.73f), Some(shape.ValueDim, 1.1f));
        Tensor got;
        try
        {
            ulong* stack = stackalloc ulong[Arguments];
            Call(Choice, stack, queries, keys, values, shape.Scale);
            if (stack[0] != CudnnBackend)
                return false;
            got = Forward(queries, keys, values, shape.Scale);
        }
        catch (InvalidOperationException)
        {
            return false;
        }

        var scores = queries.to(float32).matmul(keys.to(float32).transpose(2, 3)).Times(shape.Scale);
        var hidden = ones([TriedRows, TriedRows], ScalarType.Bool, device).triu(1);
        var wanted = scores.MaskedFill(hidden, float.NegativeInfinity).softmax(-1).matmul(values.to(float32));
        return (got.to(float32) - wanted).norm().item<float>() <= MaxError * wanted.norm().item<float>();
    }

    private static void Call(byte[] name, ulong* stack, Tensor queries, Tensor keys, Tensor values, float scale)
    {
        stack[0] = TorchDispatcher.Argument(queries);
        stack[1] = TorchDispatcher.Argument(keys);
        stack[2] = TorchDispatcher.Argument(values);
        stack[3] = 0; // attn_mask
        stack[4] = BitConverter.DoubleToUInt64Bits(0); // dropout
        stack[5] = 1; // is_causal
        stack[6] = TorchDispatcher.Some(BitConverter.DoubleToUInt64Bits(scale));
        stack[7] = 0; // enable_gqa
        TorchDispatcher.Call(name, stack, "libtorch's attention");
    }
}
