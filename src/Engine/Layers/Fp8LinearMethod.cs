using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// Matrices stored as 8-bit floats (e4m3) with scales in a tensor of their own: one scale for each block, [⌈out / rows⌉, ⌈in / columns⌉],
/// or one for the whole matrix, [1]. A value is the element times its block's scale. The elements stay 8 bits wide in memory. A rank's
/// slice may begin and end anywhere in a block. <see cref="UnquantizedLinearMethod"/> holds the output head and the modules that the
/// checkpoint does not quantise.
/// </summary>
/// <param name="blockRows">Outputs that share a scale.</param>
/// <param name="blockColumns">Inputs that share a scale.</param>
/// <param name="scaleSuffix">Suffix that turns the matrix's name into that of its scales: <c>_scale_inv</c>.</param>
/// <param name="keeps">Whether a module is stored unquantised, by its name without <c>.weight</c>.</param>
internal sealed class Fp8LinearMethod(int blockRows, int blockColumns, string scaleSuffix, Func<string, bool> keeps) : ILinearMethod
{
    private const string WeightSuffix = ".weight";

    // The CPU's kernels multiply scales by 2^60 (Fp8Panels.HalfBias), and the product must stay finite; no model has scales near this
    // limit.
    private const float MaxScale = 1.152921504606846976e18f;

    // Matrices of one shape share a grid: a mixture of experts has tens of thousands of matrices.
    private readonly Dictionary<string, Fp8Grid> _grids = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    /// <exception cref="EngineException">Kind ModelFolder: some of the joined matrices are quantised, and some are not.</exception>
    public ILinear Create(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role) =>
        role == LinearRole.Head || AreKept(weights)
            ? UnquantizedLinearMethod.Instance.Create(context, weights, biases, role)
            : new Linear(this, context, weights, biases, role);

    /// <inheritdoc/>
    public LoadedWeight<T> AddValues<T>(LayerContext context, WeightSpec weight, Func<Tensor, WeightPacking, T> pack)
        where T : class, IDisposable
    {
        IReadOnlyList<WeightSpec> weights = [weight];
        if (AreKept(weights))
            return UnquantizedLinearMethod.Instance.AddValues(context, weight, pack);
        var grid = GridOf(weights);
        var scales = AddScales(context, weights);
        return context.Weights.Add(Stored(weights), (bytes, packing) =>
        {
            using var scope = NewDisposeScope();
            var values = TorchFp8Ops.Values(bytes, scales.Value, grid, context.ActivationType);
            scales.Release();
            return pack(values, packing);
        }, keptAs: WeightType.Activation, faultOf: bytes => FaultOfElements(weights, bytes), isOneCopy: true);
    }

    private bool AreKept(IReadOnlyList<WeightSpec> weights)
    {
        var kept = weights.Where(spec => keeps(Module(spec))).Select(Module).ToList();
        if (kept.Count == 0 || kept.Count == weights.Count)
            return kept.Count > 0;
        var other = weights.Select(Module).Except(kept).First();
        throw EngineException.ModelFolder("config.json", $"quantization_config: {kept[0]} is among the modules that are not quantised, "
            + $"and {other}, which is multiplied by together with it, is not; wanted both or neither");
    }

    private static string Module(WeightSpec spec) =>
        spec.Name.EndsWith(WeightSuffix, StringComparison.Ordinal) ? spec.Name[..^WeightSuffix.Length] : spec.Name;

    private static WeightSpec[] Stored(IReadOnlyList<WeightSpec> weights) =>
        [.. weights.Select(spec => spec with { Type = WeightType.AsStored(SafetensorsDtype.F8E4M3) })];

    // Registered before their matrix, because packing the matrix needs them.
    private LoadedWeight<Tensor> AddScales(LayerContext context, IReadOnlyList<WeightSpec> weights) =>
        context.Weights.Add([.. weights.Select(ScalesOf)], (tensor, _) => tensor.reshape(tensor.size(0), -1).clone().DetachFromDisposeScope(),
            faultOf: scales => FaultOfScales(weights, scales));

    // The scales of every block that the slice touches.
    private WeightSpec ScalesOf(WeightSpec spec)
    {
        var name = $"{spec.Name}{scaleSuffix}";
        if (blockRows == Fp8Grid.Whole)
            return WeightSpec.Whole(name, 1) with { Type = WeightType.Scale };
        var edge = spec.Dimension == 0 ? blockRows : blockColumns;
        var first = spec.Start / edge;
        return new(name, [Blocks(spec.Shape[0], blockRows), Blocks(spec.Shape[1], blockColumns)], spec.Dimension, first,
            Blocks(spec.Start + spec.Length, edge) - first) { Type = WeightType.Scale };
    }

    private Fp8Grid GridOf(IReadOnlyList<WeightSpec> weights)
    {
        var key = string.Join(';', weights.Select(spec => string.Create(CultureInfo.InvariantCulture, $"{spec.Shape[0]}:{spec.Dimension}:{spec.Start}:{spec.Length}")));
        return _grids.TryGetValue(key, out var known) ? known : _grids[key] = CreateGrid(weights);
    }

    private Fp8Grid CreateGrid(IReadOnlyList<WeightSpec> weights)
    {
        var rows = new List<int>();
        var first = 0;
        foreach (var spec in weights)
        {
            var start = spec.Dimension == 0 ? spec.Start : 0;
            for (var row = start; row < start + spec.SliceShape[0]; row++)
                rows.Add(first + (int)((row / blockRows) - (start / blockRows)));
            first += (int)ScalesOf(spec).SliceShape[0];
        }

        return new([.. rows], blockColumns, weights[0].Dimension == 1 ? (int)(weights[0].Start % blockColumns) : 0);
    }

    private string? FaultOfScales(IReadOnlyList<WeightSpec> weights, Tensor scales)
    {
        long first = 0;
        foreach (var spec in weights.Select(ScalesOf))
        {
            using var scope = NewDisposeScope();
            var part = scales.narrow(0, first, spec.SliceShape[0]);
            first += spec.SliceShape[0];
            var wrong = part.IsAtLeast(0).logical_and(part.IsLess(MathF.BitIncrement(MaxScale))).logical_not();
            if (wrong.any().item<bool>())
            {
                var found = part.masked_select(wrong)[0].item<float>();
                return string.Create(CultureInfo.InvariantCulture, $"{spec.Name} holds {found}, wanted scales from 0 to 2^60");
            }
        }

        return null;
    }

    private static string? FaultOfElements(IReadOnlyList<WeightSpec> weights, Tensor bytes)
    {
        long first = 0;
        foreach (var spec in weights)
        {
            using var scope = NewDisposeScope();
            if (Float8.HoldsNaN(bytes.narrow(0, first, spec.SliceShape[0])))
                return $"{spec.Name} holds NaN, wanted numbers";
            first += spec.SliceShape[0];
        }

        return null;
    }

    private static long Blocks(long size, int edge) => (size + edge - 1) / edge;

    private sealed class Linear : ComposedLinear
    {
        private readonly LayerContext _context;
        private readonly IFp8Ops _ops;
        private readonly LoadedWeight<Fp8Weight> _weight;

        public Linear(
            Fp8LinearMethod method, LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role)
            : base(context)
        {
            (_context, _ops) = (context, context.Fp8);
            var grid = method.GridOf(weights);
            var bias = biases.Count == 0 ? null : context.Weights.Add(biases, (tensor, _) => tensor.clone().DetachFromDisposeScope());
            var scales = method.AddScales(context, weights);
            _weight = context.Weights.Add(Stored(weights), (bytes, _) =>
            {
                var packed = _ops.Pack(bytes, scales.Value, grid, bias?.Value, role);
                scales.Release();
                bias?.Release();
                return packed;
            }, faultOf: bytes => FaultOfElements(weights, bytes));
        }

        private Linear(LayerContext context, Linear other, Device device)
            : base(context) => (_context, _ops, _weight) = (context, other._ops, LoadedWeight<Fp8Weight>.Of(other._weight.Value.Copy(device)));

        /// <inheritdoc/>
        public override ILinear Copy(Device device) => new Linear(_context, this, device);

        /// <inheritdoc/>
        public override void Take(ILinear copy)
        {
            var grid = _weight.Value.Grid;
            _ops.Forget(_weight.Value);
            _weight.Take(((Linear)copy)._weight);
            _weight.Value.Share(grid);
        }

        /// <inheritdoc/>
        public override IWeightMatrix Weight => _weight.Value;

        /// <inheritdoc/>
        public override int MaxRecordedRows => _context.Ops.Features.GraphCapture?.MaxRows(_weight.Value, _context.ActivationType) ?? 0;

        /// <inheritdoc/>
        public override Tensor Forward(Tensor x) => _ops.Linear(x, _weight.Value);

        /// <inheritdoc/>
        public override Tensor ForwardNormed(Tensor x, RmsNorm norm) =>
            _ops.TryLinearNormed(x, norm.Weight, norm.Epsilon, _weight.Value) ?? base.ForwardNormed(x, norm);

        /// <inheritdoc/>
        public override Tensor ForwardGated(Tensor x, RmsNorm norm) =>
            _ops.TryLinearGated(x, norm.Weight, norm.Epsilon, _weight.Value) ?? base.ForwardGated(x, norm);

        /// <inheritdoc/>
        public override void AddTo(Tensor residual, Tensor x)
        {
            if (!_ops.TryAddLinear(residual, x, _weight.Value))
                base.AddTo(residual, x);
        }
    }
}
