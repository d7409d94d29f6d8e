using System.Text;
using LocalLlm.Interop;
using TorchSharp;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// libtorch's <c>aten::_flash_attention_forward</c> (Dao, "FlashAttention-2", 2023), which TorchSharp does not bind, over sequences of
/// different length. If it is causal, the last query sees the last key.
/// </summary>
internal static unsafe class FlashAttention
{
    private const int MaxHeadDim = 256;
    private const int Arguments = 15;
    private const int Results = 5;
    private static readonly byte[] Name = Encoding.ASCII.GetBytes("aten::_flash_attention_forward\0");

    /// <summary>Whether it supports heads of this width and type; needs Ampere or newer.</summary>
    public static bool Takes(CudaDevice device, torch.ScalarType type, int headDim) =>
        device.ComputeCapability >= CudaDevice.Ampere && type != torch.ScalarType.Float32 && headDim % 8 == 0 && headDim <= MaxHeadDim;

    /// <summary>Attention of all sequences in one call.</summary>
    /// <param name="queries">[tokens, heads, head_dim], float16 or bfloat16; only the last dimension must be dense.</param>
    /// <param name="keys">[positions, kv_heads, head_dim].</param>
    /// <param name="values">[positions, kv_heads, head_dim].</param>
    /// <param name="queryStarts">[sequences + 1] int32 on the device.</param>
    /// <param name="keyStarts">[sequences + 1] int32 on the device.</param>
    /// <param name="longestQuery">Max number of queries of a sequence.</param>
    /// <param name="longestContext">Max number of positions of a sequence.</param>
    /// <param name="scale">Factor on the scores.</param>
    /// <param name="window">Number of last positions that a query sees, its own included; null: all.</param>
    /// <param name="causal">Whether a query sees no key after it.</param>
    /// <returns>[tokens, heads, head_dim], a new tensor.</returns>
    public static torch.Tensor Forward(
        torch.Tensor queries,
        torch.Tensor keys,
        torch.Tensor values,
        torch.Tensor queryStarts,
        torch.Tensor keyStarts,
        int longestQuery,
        int longestContext,
        float scale,
        int? window,
        bool causal = true)
    {
        ulong* stack = stackalloc ulong[Arguments];
        stack[0] = TorchDispatcher.Argument(queries);
        stack[1] = TorchDispatcher.Argument(keys);
        stack[2] = TorchDispatcher.Argument(values);
        stack[3] = TorchDispatcher.Some(TorchDispatcher.Argument(queryStarts));
        stack[4] = TorchDispatcher.Some(TorchDispatcher.Argument(keyStarts));
        stack[5] = (ulong)longestQuery;
        stack[6] = (ulong)longestContext;
        stack[7] = BitConverter.DoubleToUInt64Bits(0); // dropout
        stack[8] = causal ? 1u : 0u;
        stack[9] = 0; // no debug mask
        stack[10] = TorchDispatcher.Some(BitConverter.DoubleToUInt64Bits(scale));
        stack[11] = window is { } positions ? TorchDispatcher.Some((ulong)(positions - 1)) : 0;
        stack[12] = window is null ? 0 : TorchDispatcher.Some(0);
        stack[13] = 0; // seqused_k
        stack[14] = 0; // alibi_slopes
        TorchDispatcher.Call(Name, stack, "libtorch's flash attention");
        for (var i = 1; i < Results; i++)
            _ = TorchShim.aoti_torch_delete_tensor_object((IntPtr)stack[i]);
        return torch.Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }
}
