using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Products by 8-bit floats on a GPU: few rows by kernels of our own, which widen them on the way and read each byte once; many rows, and shapes that
/// the kernels do not take, by plain tensor operations that widen a part of the matrix at a time.
/// </summary>
internal sealed class CudaFp8Ops(CudaDevice device, SkinnyProduct products, CudaWorkspace workspace) : IFp8Ops, IDisposable
{
    private readonly TorchFp8Ops _plain = new(device.Torch);

    // Matrices of one shape share a grid.
    private readonly Dictionary<Fp8Grid, Tensor> _scaleRows = [];

    /// <inheritdoc/>
    public Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role)
    {
        if (!_scaleRows.ContainsKey(grid))
            _scaleRows.Add(grid, tensor(grid.ScaleRows, device: device.Torch).DetachFromDisposeScope());
        return new(OnDevice(bytes), OnDevice(scales), grid, bias is null ? null : OnDevice(bias), (int)bytes.size(1)) { Role = role };
    }

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, Fp8Weight weight)
    {
        if (!Takes(x, weight))
            return _plain.Linear(x, weight);
        var y = workspace.Rent(CudaOps.SlotOf(weight.Role), x.size(0), weight.OutFeatures, x.dtype);
        products.Multiply(x, weight, _scaleRows[weight.Grid], y);
        return y;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var rows in _scaleRows.Values)
            rows.Dispose();
        _scaleRows.Clear();
    }

    private static bool Takes(Tensor x, Fp8Weight weight) =>
        SkinnyProduct.Takes(x.dtype, x.size(0), weight.InFeatures, fp8: true) && SkinnyProduct.TakesGrid(weight.Grid, weight.InFeatures);

    private Tensor OnDevice(Tensor tensor) =>
        (tensor.device_type == device.Torch.type ? tensor.alias() : tensor.to(device.Torch)).DetachFromDisposeScope();
}
