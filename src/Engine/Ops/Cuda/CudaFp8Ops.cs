using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Products by matrices of 8-bit floats on a GPU. If the card multiplies 8-bit floats, rows are quantised to them too
/// (<see cref="WarpgroupProducts"/>; for many rows <see cref="ScaledProduct"/> and <see cref="BulkProducts"/>). On other cards,
/// <see cref="SkinnyProduct"/> widens the matrix as it reads it, for few rows. Plain tensor operations, which widen a part of the matrix at
/// a time, compute everything else.
/// </summary>
internal sealed class CudaFp8Ops(CudaDevice device, SkinnyProduct skinny, WarpgroupProducts products, BulkProducts bulk, CudaWorkspace workspace)
    : IFp8Ops, IDisposable
{
    /// <summary>Number of rows from which on our own kernel is faster than libtorch's for large matrices.</summary>
    public const int MinOwnRows = 2048;

    private const int MinOwnInputs = 2048;
    private const long LargeMatrix = 20L << 20;

    private readonly TorchFp8Ops _plain = new(device.Torch);
    private readonly ScaledProduct _scaled = new(device);

    // Matrices of one shape share a grid.
    private readonly Dictionary<Fp8Grid, Tensor> _scaleRows = [];

    // Number of packed matrices of each grid and width.
    private readonly Dictionary<(Fp8Grid Grid, int InFeatures), int> _packed = [];

    // null: the kernel for many rows does not support the matrix.
    private readonly Dictionary<Fp8Weight, BulkMatrix?> _described = [];

    /// <inheritdoc/>
    public Fp8Products? Prepare(ScalarType type)
    {
        var (quantised, inKernels, whole) = (0, 0, 0);
        foreach (var ((grid, inFeatures), count) in _packed)
        {
            if (products.Takes(type, grid, inFeatures))
                quantised += count;
            else if (Widens(type, 1, grid, inFeatures))
                inKernels += count;
            else
                whole += count;
        }

        if (inKernels > 0)
            skinny.Reserve();
        return new(quantised, inKernels, whole, quantised > 0 && ScaledProduct.Takes(type) ? _scaled.Try() : null);
    }

    /// <inheritdoc/>
    public Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role)
    {
        if (!_scaleRows.ContainsKey(grid))
            _scaleRows.Add(grid, tensor(grid.ScaleRows, device: device.Torch).DetachFromDisposeScope());
        var kind = (grid, (int)bytes.size(1));
        _packed[kind] = _packed.GetValueOrDefault(kind) + 1;
        return new(OnDevice(bytes), OnDevice(scales), grid, bias is null ? null : OnDevice(bias), (int)bytes.size(1)) { Role = role };
    }

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, Fp8Weight weight)
    {
        var rows = (int)x.size(0);
        if (products.Takes(x.dtype, weight.Grid, weight.InFeatures))
        {
            var isScaled = TakesScaled(rows, x.dtype, weight);
            if (!isScaled && TakesBulk(rows, weight))
                return MultiplyMany(bulk.Tiled(x), x.dtype, weight);
            using var quantised = products.Quantise(x, isScaled ? ScaledProduct.Padded(rows) : 0);
            return Multiply(quantised, rows, x.dtype, weight, isScaled);
        }

        if (!Widens(x.dtype, rows, weight.Grid, weight.InFeatures))
            return _plain.Linear(x, weight);
        var y = Result(rows, x.dtype, weight);
        skinny.Multiply(x, weight, _scaleRows[weight.Grid], y);
        return y;
    }

    /// <inheritdoc/>
    public Tensor? TryLinearNormed(Tensor x, Tensor norm, float epsilon, Fp8Weight weight)
    {
        var rows = (int)x.size(0);
        if (!products.Takes(x.dtype, weight.Grid, weight.InFeatures))
            return null;
        var isScaled = TakesScaled(rows, x.dtype, weight);
        if (!isScaled && TakesBulk(rows, weight))
            return bulk.TryTiledNormed(x, norm, epsilon) is { } tiled ? MultiplyMany(tiled, x.dtype, weight) : null;
        if (products.TryQuantiseNormed(x, norm, epsilon, normed: null, isScaled ? ScaledProduct.Padded(rows) : 0) is not { } quantised)
            return null;
        using (quantised)
            return Multiply(quantised, rows, x.dtype, weight, isScaled);
    }

    /// <inheritdoc/>
    public Tensor? TryLinearGated(Tensor x, Tensor norm, float epsilon, Fp8Weight weight)
    {
        var rows = (int)x.size(0);
        var isFew = TakesFew(rows, x.dtype, weight);
        if (weight.OutFeatures % 2 != 0 || (!isFew && !(TakesMany(rows, x.dtype, weight) && BulkProducts.TakesGated(weight))))
            return null;
        if (!WarpgroupProducts.CanQuantiseNormed(x))
            return null;
        if (!isFew)
            MakeRoom(weight, x.dtype, WorkspaceSlot.Activation);
        var y = workspace.Rent(CudaOps.SlotOf(weight.Role), rows, weight.OutFeatures / 2, x.dtype);
        if (isFew)
        {
            using var quantised = products.TryQuantiseNormed(x, norm, epsilon)!.Value;
            products.Multiply(quantised, weight, _scaleRows[weight.Grid], y, gated: true);
        }
        else
        {
            using var tiled = bulk.TryTiledNormed(x, norm, epsilon)!.Value;
            bulk.Multiply(tiled, weight, DescriptionOf(weight)!, _scaleRows[weight.Grid], y, gated: true);
        }

        return y;
    }

    /// <inheritdoc/>
    public bool TryAddLinear(Tensor residual, Tensor x, Fp8Weight weight)
    {
        var rows = (int)x.size(0);
        if (TakesFew(rows, x.dtype, weight))
        {
            using var quantised = products.Quantise(x);
            products.Multiply(quantised, weight, _scaleRows[weight.Grid], residual, add: true);
            return true;
        }

        if (!TakesMany(rows, x.dtype, weight))
            return false;
        MakeRoom(weight, x.dtype, null);
        using var tiled = bulk.Tiled(x);
        bulk.Multiply(tiled, weight, DescriptionOf(weight)!, _scaleRows[weight.Grid], residual, add: true);
        return true;
    }

    /// <inheritdoc/>
    public void Forget(Fp8Weight weight)
    {
        if (_described.Remove(weight, out var known))
            known?.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var rows in _scaleRows.Values)
            rows.Dispose();
        _scaleRows.Clear();
        foreach (var described in _described.Values)
            described?.Dispose();
        _described.Clear();
    }

    private static bool Widens(ScalarType type, long rows, Fp8Grid grid, int inFeatures) =>
        SkinnyProduct.Takes(type, rows, inFeatures, fp8: true) && SkinnyProduct.TakesGrid(grid, inFeatures);

    private Tensor Multiply(QuantisedRows x, int rows, ScalarType type, Fp8Weight weight, bool isScaled)
    {
        var y = Result(x.Rows, type, weight);
        if (!isScaled)
        {
            products.Multiply(x, weight, _scaleRows[weight.Grid], y);
            return y;
        }

        ScaledProduct.Multiply(x, weight, y);
        using (y)
            return y.narrow(0, 0, rows);
    }

    // Memory is measured with a long step. Shorter steps need more buffers, since libtorch multiplies there and fuses nothing: for gates,
    // ups and their combination, or for the product to add.
    private void MakeRoom(Fp8Weight weight, ScalarType type, WorkspaceSlot? gated)
    {
        if (!_scaled.Takes(MinOwnRows - 1, type, weight))
            return;
        Result(ScaledProduct.Padded(MinOwnRows - 1), type, weight).Dispose();
        if (gated is { } slot)
            workspace.Rent(slot, MinOwnRows - 1, weight.OutFeatures / 2, type).Dispose();
    }

    private Tensor Result(int rows, ScalarType type, Fp8Weight weight) => workspace.Rent(CudaOps.SlotOf(weight.Role), rows, weight.OutFeatures, type);

    private bool TakesScaled(int rows, ScalarType type, Fp8Weight weight)
    {
        var isLarge = weight.InFeatures >= MinOwnInputs && (long)weight.OutFeatures * weight.InFeatures >= LargeMatrix;
        var isOwn = isLarge && rows >= MinOwnRows && DescriptionOf(weight) is not null;
        if (isOwn && _scaled.Takes(rows, type, weight))
            products.MakeRoom(ScaledProduct.Padded(MinOwnRows - 1), weight.InFeatures); // for shorter steps than the measured one
        return !isOwn && _scaled.Takes(rows, type, weight);
    }

    // Whether the kernel for few rows is the best one: it can also fuse other operations.
    private bool TakesFew(int rows, ScalarType type, Fp8Weight weight) =>
        rows <= SkinnyTiling.MaxRows && products.Takes(type, weight.Grid, weight.InFeatures) && !TakesScaled(rows, type, weight);

    // Recorded steps never have more than SkinnyTiling.MaxRows rows, so they never allocate the description of a matrix here.
    private bool TakesBulk(int rows, Fp8Weight weight) => rows > SkinnyTiling.MaxRows && DescriptionOf(weight) is not null;

    // Whether the kernel for many rows is the best one.
    private bool TakesMany(int rows, ScalarType type, Fp8Weight weight) =>
        products.Takes(type, weight.Grid, weight.InFeatures) && !TakesScaled(rows, type, weight) && TakesBulk(rows, weight);

    // Disposes the tiles.
    private Tensor MultiplyMany(TiledRows tiled, ScalarType type, Fp8Weight weight)
    {
        using (tiled)
        {
            products.MakeRoom(SkinnyTiling.MaxRows, weight.InFeatures); // for shorter steps, as below
            var y = Result(tiled.Rows, type, weight);
            bulk.Multiply(tiled, weight, DescriptionOf(weight)!, _scaleRows[weight.Grid], y);
            return y;
        }
    }

    private BulkMatrix? DescriptionOf(Fp8Weight weight)
    {
        if (!_described.TryGetValue(weight, out var known))
            _described.Add(weight, known = bulk.TryDescribe(weight));
        return known;
    }

    private Tensor OnDevice(Tensor tensor) =>
        (tensor.device_type == device.Torch.type ? tensor.alias() : tensor.to(device.Torch)).DetachFromDisposeScope();
}
