using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>Matrices stored in 8 bits, with one float32 scale for each row in <c>weight_scale</c>.</summary>
internal sealed class RowScaledInt8Method : ILinearMethod
{
    private RowScaledInt8Method()
    {
    }

    public static RowScaledInt8Method Instance { get; } = new();

    public ILinear Create(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role) =>
        biases.Count == 0 ? new Linear(context, weights) : throw new ArgumentException("These matrices have no biases.", nameof(biases));

    public LoadedWeight<T> AddValues<T>(LayerContext context, WeightSpec weight, Func<Tensor, WeightPacking, T> pack)
        where T : class, IDisposable => throw new NotSupportedException("These layers only multiply by their matrices.");

    private sealed class Linear : ComposedLinear
    {
        private readonly LoadedWeight<Tensor> _elements; // [out, in] int8
        private readonly LoadedWeight<Tensor> _scales; // [out, 1] float32

        public Linear(LayerContext context, IReadOnlyList<WeightSpec> weights)
            : base(context)
        {
            _elements = context.Weights.Add([.. weights.Select(spec => spec with { Type = WeightType.AsStored(SafetensorsDtype.I8) })],
                (tensor, _) => context.Ops.ToDevice(tensor));
            _scales = context.Weights.Add([.. weights.Select(Scale)], (tensor, _) => context.Ops.ToDevice(tensor.unsqueeze(1)));
        }

        public override Tensor Forward(Tensor x)
        {
            using var matrix = _elements.Value.to(float32).mul_(_scales.Value);
            return x.to(float32).matmul(matrix.t()).to(x.dtype);
        }

        // A slice of the inputs needs the scales of all rows.
        private static WeightSpec Scale(WeightSpec spec)
        {
            var rows = spec.Shape[0];
            var scale = spec.Dimension == 0 ? new WeightSpec($"{spec.Name}_scale", [rows], 0, spec.Start, spec.Length)
                : WeightSpec.Whole($"{spec.Name}_scale", rows);
            return scale with { Type = WeightType.Converted(ScalarType.Float32) };
        }
    }
}
