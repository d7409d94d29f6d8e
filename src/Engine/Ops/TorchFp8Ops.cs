using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Products by 8-bit floats in plain ATen on any device. Every product widens the matrix to the activation type, some rows at a time. The
/// oracle of the faster implementations, and the fallback of devices without kernels for such products.
/// </summary>
internal sealed class TorchFp8Ops(Device device) : IFp8Ops
{
    // Elements widened at once. Each takes 4 bytes as an index, 4 bytes as float32, and its size in the activation type.
    private const long TileElements = 16 << 20;

    /// <inheritdoc/>
    public Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role) =>
        new(Copy(bytes), Copy(scales), grid, bias is null ? null : Copy(bias), (int)bytes.size(1)) { Role = role };

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, Fp8Weight weight)
    {
        var output = empty([x.size(0), weight.OutFeatures], x.dtype, x.device);
        var height = (int)Math.Clamp(TileElements / weight.InFeatures, 1, weight.OutFeatures);
        for (var row = 0; row < weight.OutFeatures; row += height)
        {
            using var scope = NewDisposeScope();
            var rows = Math.Min(height, weight.OutFeatures - row);
            var grid = weight.Grid with { ScaleRows = weight.Grid.ScaleRows[row..(row + rows)] };
            var tile = Values(weight.Data.narrow(0, row, rows), weight.Scales, grid, x.dtype);
            output.narrow(1, row, rows).copy_(nn.functional.linear(x, tile, weight.Bias?.narrow(0, row, rows)));
        }

        return output;
    }

    /// <summary>
    /// The values of a matrix, [out, in]: each element times its scale in float32, then rounded to <paramref name="type"/>.
    /// </summary>
    /// <param name="bytes">[out, in] as bytes.</param>
    /// <param name="scales">[rows of blocks, columns of blocks] float32.</param>
    /// <param name="grid">Which scale an element has.</param>
    /// <param name="type">Type of the result.</param>
    public static Tensor Values(Tensor bytes, Tensor scales, Fp8Grid grid, ScalarType type)
    {
        var (outFeatures, inFeatures) = (bytes.size(0), bytes.size(1));
        using var scope = NewDisposeScope();
        var table = tensor(Float8.Values.ToArray(), device: bytes.device);
        var elements = table.index_select(0, bytes.reshape(-1).to(ScalarType.Int32)).view(outFeatures, inFeatures);
        var columnOf = Enumerable.Range(grid.ColumnOffset, (int)inFeatures).Select(column => column / grid.BlockColumns).ToArray();
        using var columns = tensor(columnOf, device: bytes.device);
        return elements.mul_(grid.OfOutputs(scales).index_select(1, columns)).to(type).MoveToOuterDisposeScope();
    }

    private Tensor Copy(Tensor tensor) => tensor.to(device, copy: true).DetachFromDisposeScope();
}
