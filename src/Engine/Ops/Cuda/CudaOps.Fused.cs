using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

// Several primitives in one kernel: prologues and epilogues of the matrix-vector product, and the operations between an encoder's products.
internal sealed unsafe partial class CudaOps : IFusedOps
{
    private const string Encoder = "encoder.cu";

    /// <inheritdoc/>
    public Tensor NormLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight weight)
    {
        if (!TakesGemv(x, weight) || !x.is_contiguous())
            return Linear(RmsNorm(x, normWeight, epsilon), weight);
        var y = _workspace.Rent(SlotOf(weight.Role), x.size(0), weight.OutFeatures, x.dtype);
        Gemv(x, weight, normWeight, epsilon, y);
        return y;
    }

    /// <inheritdoc/>
    public Tensor NormQkvRotary(
        Tensor x, Tensor normWeight, float epsilon, LinearWeight qkv, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, AttentionShape shape)
    {
        // A head's scale depends on all of its elements, which several blocks of the product compute.
        if (!TakesGemv(x, qkv) || cache.IsScaled)
        {
            var projected = NormLinear(x, normWeight, epsilon, qkv);
            RotaryAndCache(projected, rotary, cache, metadata, shape);
            return projected;
        }

        var table = OnDevice(rotary);
        var y = _workspace.Rent(SlotOf(qkv.Role), x.size(0), qkv.OutFeatures, x.dtype);
        Gemv(
            x,
            qkv,
            normWeight,
            epsilon,
            y,
            GemvEpilogue.Rotary,
            shape.HeadDim,
            [table.Cos, table.Sin, _inputs.RotaryRows, _inputs.Slots, cache.Keys, cache.Values, shape.Heads, shape.KvHeads]);
        return y;
    }

    /// <inheritdoc/>
    public Tensor NormGatedLinear(Tensor x, Tensor normWeight, float epsilon, LinearWeight gateUp)
    {
        if (!TakesGemv(x, gateUp))
            return SiluAndMul(Linear(RmsNorm(x, normWeight, epsilon), gateUp));
        var y = _workspace.Rent(WorkspaceSlot.Activation, x.size(0), gateUp.OutFeatures / 2, x.dtype);
        Gemv(x, gateUp, normWeight, epsilon, y, GemvEpilogue.Gated);
        return y;
    }

    /// <inheritdoc/>
    public void LinearAdd(Tensor x, LinearWeight weight, Tensor residual)
    {
        if (TakesGemv(x, weight))
            Gemv(x, weight, null, 0, residual, GemvEpilogue.Add);
        else if (weight.Bias is null)
            Multiply(x, weight, residual, residual);
        else
            residual.AddInPlace(Linear(x, weight));
    }

    /// <inheritdoc/>
    public Tensor TextAttention(Tensor qkv, TextSpans texts, int heads)
    {
        var (tokens, hidden) = (qkv.size(0), qkv.size(1) / 3);
        var headDim = (int)(hidden / heads);
        if (!FlashAttention.Takes(_device, qkv.dtype, headDim))
        {
            // In float32 libtorch uses none of the kernels that Turing lacks.
            return _device.ComputeCapability < CudaDevice.Ampere
                ? Ops.TextAttention.Forward(qkv.to(float32), texts, heads).to(qkv.dtype)
                : Ops.TextAttention.Forward(qkv, texts, heads);
        }

        using var scope = NewDisposeScope();
        var split = qkv.view(tokens, 3, heads, headDim);
        var starts = texts.StartsOn(Device);
        return FlashAttention.Forward(split.select(1, 0), split.select(1, 1), split.select(1, 2), starts, starts, texts.Longest,
            texts.Longest, 1 / MathF.Sqrt(headDim), null, causal: false)
            .reshape(tokens, hidden).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor AddLayerNorm(Tensor x, Tensor residual, Tensor weight, Tensor bias, float epsilon)
    {
        const int threads = 128;
        var (rows, width) = ((int)x.size(0), (int)x.size(1));
        var y = _workspace.Rent(WorkspaceSlot.Normed, rows, width, x.dtype);
        _kernels.Get(Encoder, "addLayerNorm", $"{KernelCompiler.TypeMacro(x.dtype)} WIDTH={width} THREADS={threads}")
            .Launch((rows, 1, 1), threads, [x, residual, weight, bias, y, epsilon]);
        return y;
    }

    /// <inheritdoc/>
    public Tensor Gelu(Tensor x)
    {
        const int threads = 256, depth = 4;
        var packs = x.numel() * x.dtype.ElementSize() / 16;
        var blocks = Math.Max(1, (packs + (threads * depth) - 1) / (threads * depth));
        Kernel(Encoder, "gelu", x.dtype).Launch(((int)blocks, 1, 1), threads, [x, x.numel()]);
        return x;
    }
}
