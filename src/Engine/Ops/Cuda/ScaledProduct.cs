using System.Runtime.CompilerServices;
using System.Text;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// libtorch's <c>aten::_scaled_mm</c> by blocks (cuBLAS), which TorchSharp does not bind: multiplies many rows of 8-bit floats at twice the
/// rate of <see cref="WarpgroupProducts"/>. A libtorch without it (CUDA before 12.9) throws, so <see cref="Try"/> tries it once. A later
/// failure is a fault like any other.
/// </summary>
internal sealed unsafe class ScaledProduct(CudaDevice device)
{
    private const int MinRows = 65; // with fewer rows our own kernel is as fast
    private const int Edge = 128;
    private const int ScaledInputs = 4 * Edge; // cuBLAS reads the scales of a row of blocks four at a time
    private const int Divisor = 16;
    private const int Arguments = 9;
    private const ulong Float8Code = 24; // c10::ScalarType::Float8_e4m3fn
    private const ulong BFloat16Code = 15;
    private static readonly byte[] Name = Encoding.ASCII.GetBytes("aten::_scaled_mm\0");
    private static readonly byte[] Out = Encoding.ASCII.GetBytes("out\0");
    private static readonly byte[] View = Encoding.ASCII.GetBytes("aten::view\0");
    private static readonly byte[] Dtype = Encoding.ASCII.GetBytes("dtype\0");

    private readonly ConditionalWeakTable<Fp8Grid, StrongBox<bool>> _squares = [];
    private bool _isSound; // tried, and correct

    /// <summary>Whether a type is supported at all.</summary>
    public static bool Takes(ScalarType type) => type == ScalarType.BFloat16;

    /// <summary>Tries the operator; it multiplies nothing before this.</summary>
    /// <returns>What multiplies many rows from now on, and why.</returns>
    public string Try()
    {
        var fault = ScaledProductProbe.FaultOf(device.Torch, Multiply);
        _isSound = fault is null;
        return fault is null
            ? $"libtorch's _scaled_mm multiplies {MinRows} rows and more, where the matrix allows it, and our own kernel large matrices from {CudaFp8Ops.MinOwnRows} rows on; a product that was tried is right"
            : $"our own kernels multiply any number of rows, as libtorch's _scaled_mm does not: {fault}";
    }

    /// <summary>
    /// Whether it can multiply: only after a successful <see cref="Try"/>, in bfloat16, by blocks of 128 × 128, without a bias, and not
    /// while a step is recorded.
    /// </summary>
    public bool Takes(long rows, ScalarType type, Fp8Weight weight) =>
        _isSound && rows >= MinRows && device.RecordedGates is null && Takes(type) && weight.Bias is null
        && weight.InFeatures % ScaledInputs == 0 && weight.OutFeatures % Divisor == 0 && HasSquares(weight.Grid);

    /// <summary>A number of rows, padded as the operator needs it.</summary>
    public static int Padded(int rows) => (rows + Divisor - 1) / Divisor * Divisor;

    /// <summary>y = x · Wᵀ, if <see cref="Takes(long, ScalarType, Fp8Weight)"/>.</summary>
    /// <param name="x">[padded rows, in].</param>
    /// <param name="weight">The matrix.</param>
    /// <param name="y">[padded rows, out], contiguous.</param>
    /// <exception cref="InvalidOperationException">libtorch failed.</exception>
    public static void Multiply(QuantisedRows x, Fp8Weight weight, Tensor y)
    {
        using var scope = NewDisposeScope();
        ulong* stack = stackalloc ulong[Arguments];
        stack[0] = TorchDispatcher.Argument(AsFloat8(x.Values));
        stack[1] = TorchDispatcher.Argument(AsFloat8(weight.Data).t());
        stack[2] = TorchDispatcher.Argument(x.Scales.t()); // [rows, blocks], columns contiguous
        stack[3] = TorchDispatcher.Argument(weight.Scales.t());
        stack[4] = 0; // bias
        stack[5] = 0; // scale_result
        stack[6] = TorchDispatcher.Some(BFloat16Code);
        stack[7] = 0; // use_fast_accum
        stack[8] = TorchDispatcher.Argument(y);
        TorchDispatcher.Call(Name, stack, "libtorch's product of 8-bit floats", Out);
        _ = TorchShim.aoti_torch_delete_tensor_object((IntPtr)stack[0]);
    }

    // The same bytes as float8_e4m3fn, which TorchSharp does not name.
    private static Tensor AsFloat8(Tensor bytes)
    {
        ulong* stack = stackalloc ulong[2];
        stack[0] = TorchDispatcher.Argument(bytes);
        stack[1] = Float8Code;
        TorchDispatcher.Call(View, stack, "a view of 8-bit floats", Dtype);
        return Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }

    private bool HasSquares(Fp8Grid grid)
    {
        if (!_squares.TryGetValue(grid, out var known))
        {
            var rows = grid.ScaleRows;
            _squares.Add(grid, known = new(grid is { BlockColumns: Edge, ColumnOffset: 0 } && Enumerable.Range(0, rows.Length).All(row => rows[row] == row / Edge)));
        }

        return known.Value;
    }
}
