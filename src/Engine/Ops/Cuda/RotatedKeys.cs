using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Copies the rotated part of latent rows, which all heads share, to the keys of each head.</summary>
/// <param name="kernels">The card's kernels; null: libtorch copies, and reads the part again for each head.</param>
internal sealed class RotatedKeys(KernelCompiler? kernels)
{
    private const int Threads = 256;
    private const int MaxHeadBlocks = 16;
    private const int Pack = 8; // 16-bit elements of one access

    /// <summary>Fills the rotated part, the last of each key, for the first rows of all heads.</summary>
    /// <param name="context">[positions, rank + rotary_dim], contiguous.</param>
    /// <param name="keys">[heads, positions or more, plain_dim + rotary_dim], contiguous.</param>
    /// <param name="shape">Sizes of the layer.</param>
    public void Spread(Tensor context, Tensor keys, LatentAttentionShape shape)
    {
        var (positions, heads) = ((int)context.size(0), (int)keys.size(0));
        if (kernels is null || shape.RotaryDim % Pack != 0 || shape.PlainDim % Pack != 0 || shape.Rank % Pack != 0)
        {
            using var scope = NewDisposeScope();
            var part = context.narrow(1, shape.Rank, shape.RotaryDim).unsqueeze(0).expand(heads, -1, -1);
            keys.narrow(1, 0, positions).narrow(2, shape.PlainDim, shape.RotaryDim).copy_(part);
            return;
        }

        var blocks = ((positions * (shape.RotaryDim / Pack)) + Threads - 1) / Threads;
        kernels.Get("elementwise.cu", "spreadLast", KernelCompiler.TypeMacro(context.dtype)).Launch(
            (blocks, Math.Min(heads, MaxHeadBlocks), 1), Threads,
            [context, keys, positions, shape.RowWidth, (int)keys.size(1), shape.QueryDim, shape.RotaryDim, heads]);
    }
}
