using System.Globalization;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Tries a product of 8-bit floats by 8-bit floats on a small matrix whose blocks all have different scales.</summary>
internal static class ScaledProductProbe
{
    // The matrix has more than four blocks of inputs, and the rows do not fill a tile.
    private const int Rows = 80;
    private const int Inputs = 1024;
    private const int Outputs = 256;
    private const int Edge = 128;

    // Rounding a result to bfloat16 gives an error of a third of a hundredth, a wrong scale several hundredths.
    private const double MaxError = 0.01;

    /// <summary>What is wrong with a product; null: nothing.</summary>
    /// <param name="device">The device to compute on.</param>
    /// <param name="multiply">The product: rows, matrix, and [rows, out] bfloat16 for the result.</param>
    public static string? FaultOf(Device device, Action<QuantisedRows, Fp8Weight, Tensor> multiply)
    {
        using var scope = NewDisposeScope();
        var random = new Random(1);
        var (x, scalesOfX) = (Elements(random, Rows, Inputs), Scales(random, Rows, Inputs / Edge));
        var (w, scalesOfW) = (Elements(random, Outputs, Inputs), Scales(random, Outputs / Edge, Inputs / Edge));
        var grid = new Fp8Grid([.. Enumerable.Range(0, Outputs).Select(output => output / Edge)], Edge, 0);
        var expected = Values(x, scalesOfX, new([.. Enumerable.Range(0, Rows)], Edge, 0)).matmul(Values(w, scalesOfW, grid).t());
        var rows = new QuantisedRows(x.to(device), scalesOfX.t().contiguous().to(device));
        using var weight = new Fp8Weight(w.to(device), scalesOfW.to(device), grid, null, Inputs);
        var y = zeros([Rows, Outputs], ScalarType.BFloat16, device);
        try
        {
            multiply(rows, weight, y);
        }
        catch (InvalidOperationException refusal)
        {
            return refusal.Message.TrimEnd('.');
        }

        var error = (y.cpu().to(float64) - expected).norm().item<double>() / expected.norm().item<double>();
        return error <= MaxError ? null : string.Create(CultureInfo.InvariantCulture, $"its result is off by {error:P0} of the right one");
    }

    private static Tensor Values(Tensor bytes, Tensor scales, Fp8Grid grid) => TorchFp8Ops.Values(bytes, scales, grid, ScalarType.Float32).to(float64);

    // Numbers of both signs, none of them NaN.
    private static Tensor Elements(Random random, int rows, int columns)
    {
        const int finite = 0x7F, sign = 0x80;
        return tensor([.. Enumerable.Range(0, rows * columns).Select(_ => (byte)(random.Next(finite) | (random.Next(2) * sign)))]).view(rows, columns);
    }

    private static Tensor Scales(Random random, int rows, int columns) =>
        tensor([.. Enumerable.Range(0, rows * columns).Select(_ => 0.001f + random.NextSingle())]).view(rows, columns);
}
