using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>Matrices stored as float32, float16 or bfloat16; products are computed in the activation type.</summary>
internal sealed class UnquantizedLinearMethod : ILinearMethod
{
    private UnquantizedLinearMethod()
    {
    }

    /// <summary>The method.</summary>
    public static UnquantizedLinearMethod Instance { get; } = new();

    /// <inheritdoc/>
    public ILinear Create(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role) =>
        new Linear(context, weights, biases, role);

    /// <inheritdoc/>
    public LoadedWeight<T> AddValues<T>(LayerContext context, WeightSpec weight, Func<Tensor, WeightPacking, T> pack)
        where T : class, IDisposable => context.Weights.Add([weight], pack, isOneCopy: true);

    private sealed class Linear : ILinear
    {
        private readonly IDeviceOps _ops;
        private readonly IFusedOps _fused;
        private readonly LoadedWeight<LinearWeight> _weight;

        public Linear(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role)
        {
            (_ops, _fused) = (context.Ops, context.Fused);
            // Registered first, because packing the matrix needs it.
            var bias = biases.Count == 0 ? null : context.Weights.Add(biases, (tensor, _) => tensor.clone().DetachFromDisposeScope());
            _weight = context.Weights.Add(weights, (tensor, packing) =>
            {
                var packed = context.Ops.PackLinear(tensor, bias?.Value, role, packing);
                bias?.Release();
                return packed;
            }, _ops.Features.SharesLoaded);
        }

        private Linear(Linear other, Device device) =>
            (_ops, _fused, _weight) = (other._ops, other._fused, LoadedWeight<LinearWeight>.Of(other._weight.Value.Copy(device)));

        /// <inheritdoc/>
        public ILinear Copy(Device device) => new Linear(this, device);

        /// <inheritdoc/>
        public void Take(ILinear copy) => _weight.Take(((Linear)copy)._weight);

        /// <inheritdoc/>
        public IWeightMatrix Weight => _weight.Value;

        /// <inheritdoc/>
        public Tensor Forward(Tensor x) => _ops.Linear(x, _weight.Value);

        /// <inheritdoc/>
        public Tensor ForwardNormed(Tensor x, RmsNorm norm) => _fused.NormLinear(x, norm.Weight, norm.Epsilon, _weight.Value);

        /// <inheritdoc/>
        public Tensor ForwardGated(Tensor x, RmsNorm norm) => _fused.NormGatedLinear(x, norm.Weight, norm.Epsilon, _weight.Value);

        /// <inheritdoc/>
        public Tensor ForwardRotated(Tensor x, RmsNorm norm, RotaryTable rotary, KvLayerCache cache, AttentionMetadata metadata,
            AttentionShape shape) =>
            _fused.NormQkvRotary(x, norm.Weight, norm.Epsilon, _weight.Value, rotary, cache, metadata, shape);

        /// <inheritdoc/>
        public void AddTo(Tensor residual, Tensor x) => _fused.LinearAdd(x, _weight.Value, residual);
    }
}
