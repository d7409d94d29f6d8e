using System.Text;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// libtorch's <c>aten::_scaled_dot_product_cudnn_attention</c>, which TorchSharp does not bind: on Hopper about twice as quick as
/// <see cref="FlashAttention"/>, and values may be narrower than keys. A query sees the keys up to its own.
/// </summary>
internal static unsafe class CudnnAttention
{
    private const int Arguments = 9;
    private const int Results = 9;
    private const int MaxQuery = 4; // integers among the results
    private const int MaxKey = 5;
    private const int TriedRows = 256;
    private const double MaxError = 0.02; // a result is rounded to 8 bits, and so are the weights on the way to it
    private static readonly byte[] Name = Encoding.ASCII.GetBytes("aten::_scaled_dot_product_cudnn_attention\0");

    /// <summary>Attention of one sequence.</summary>
    /// <param name="queries">[1, heads, rows, query_dim], float16 or bfloat16; only the last dimension must be dense.</param>
    /// <param name="keys">[1, heads, rows, query_dim].</param>
    /// <param name="values">[1, heads, rows, value_dim].</param>
    /// <param name="scale">Factor on the scores.</param>
    /// <returns>[1, heads, rows, value_dim], a new tensor.</returns>
    /// <exception cref="InvalidOperationException">This libtorch, cuDNN or card has no such attention.</exception>
    public static Tensor Forward(Tensor queries, Tensor keys, Tensor values, float scale)
    {
        ulong* stack = stackalloc ulong[Arguments];
        stack[0] = TorchDispatcher.Argument(queries);
        stack[1] = TorchDispatcher.Argument(keys);
        stack[2] = TorchDispatcher.Argument(values);
        stack[3] = 0; // attn_bias
        stack[4] = 0; // compute_log_sumexp
        stack[5] = BitConverter.DoubleToUInt64Bits(0); // dropout
        stack[6] = 1; // causal
        stack[7] = 0; // no debug mask
        stack[8] = TorchDispatcher.Some(BitConverter.DoubleToUInt64Bits(scale));
        TorchDispatcher.Call(Name, stack, "cuDNN's attention");
        for (var i = 1; i < Results; i++)
        {
            if (i is not (MaxQuery or MaxKey) && stack[i] != 0)
                _ = TorchShim.aoti_torch_delete_tensor_object((IntPtr)stack[i]);
        }

        return Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }

    /// <summary>Whether it is there, and right for heads of such a shape: tries a few rows.</summary>
    public static bool Try(ScalarType type, LatentAttentionShape shape, Device device)
    {
        using var scope = NewDisposeScope();
        Tensor Random(int width) => randn([1, 2, TriedRows, width], type, device);
        var (queries, keys, values) = (Random(shape.QueryDim), Random(shape.QueryDim), Random(shape.ValueDim));
        Tensor got;
        try
        {
            got = Forward(queries, keys, values, shape.Scale);
        }
        catch (InvalidOperationException)
        {
            return false;
        }

        var scores = queries.to(float32).matmul(keys.to(float32).transpose(2, 3)) * shape.Scale;
        var hidden = ones([TriedRows, TriedRows], ScalarType.Bool, device).triu(1);
        var wanted = scores.masked_fill(hidden, float.NegativeInfinity).softmax(-1).matmul(values.to(float32));
        return (got.to(float32) - wanted).norm().item<float>() <= MaxError * wanted.norm().item<float>();
    }
}
