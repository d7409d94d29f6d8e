using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>Products by bfloat16 matrices in which rows do not depend on one another (<see cref="PairMatmulKernel"/>).</summary>
internal sealed unsafe class PairProducts : IDisposable
{
    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    private const int PanelWidth = MatvecKernel.PanelWidth;

    private readonly ExecutableMemory? _code;
    private readonly NativeBuffer<nint> _functions = new();

    /// <summary>Writes the machine code if the CPU and the system support it.</summary>
    /// <param name="usesMachineCode">False: use .NET code, which gives the same bits.</param>
    public PairProducts(bool usesMachineCode = true)
    {
        if (!usesMachineCode || !DotProductCode.IsSupported)
            return;
        var code = new List<byte>();
        var starts = new List<int>();
        for (var rows = 1; rows <= DotProductCode.MaxRows; rows++)
        {
            starts.Add(code.Count);
            code.AddRange(DotProductCode.Write(rows));
            const int line = 64;
            code.AddRange(new byte[(line - (code.Count % line)) % line]);
        }

        _code = ExecutableMemory.TryCreate(code.ToArray());
        if (_code is null)
            return;
        foreach (var start in starts)
            _functions.Add((nint)(_code.Code + start));
    }

    /// <summary>Whether products use the machine code.</summary>
    public bool UsesMachineCode => _code is not null;

    /// <summary>[out, in] bfloat16 → [ceil(out / 64), ceil(in / 2), 64, 2], owned by the caller.</summary>
    public static Tensor Pack(Tensor weight)
    {
        var (outFeatures, inFeatures) = ((int)weight.size(0), (int)weight.size(1));
        var panels = (outFeatures + PanelWidth - 1) / PanelWidth;
        var packed = empty([panels, (inFeatures + 1) / 2, PanelWidth, 2], ScalarType.BFloat16).DetachFromDisposeScope();
        var kernel = new PackMatvecKernel
        {
            Weight = (ushort*)weight.DataPointer(), Panels = (ushort*)packed.DataPointer(), OutFeatures = outFeatures, InFeatures = inFeatures,
        };
        CpuParallel.For(kernel, panels, grain: 1);
        return packed;
    }

    /// <summary>x · Wᵀ + bias: [rows, in] → [rows, out], all bfloat16.</summary>
    /// <param name="x">The rows.</param>
    /// <param name="weight">Its data is a result of <see cref="Pack"/>.</param>
    public Tensor Multiply(Tensor x, LinearWeight weight)
    {
        var rows = (int)x.size(0);
        var output = empty([rows, weight.OutFeatures], ScalarType.BFloat16);
        // Pad with zero: the second input of the last pair must not be NaN.
        using var padded = weight.InFeatures % 2 == 0 ? null : nn.functional.pad(x, [0, 1]);
        var kernel = new PairMatmulKernel
        {
            Input = (ushort*)(padded ?? x).DataPointer(),
            Panels = (uint*)weight.Data.DataPointer(),
            Bias = weight.Bias is null ? null : (ushort*)weight.Bias.DataPointer(),
            Output = (ushort*)output.DataPointer(),
            Rows = rows,
            Pairs = (weight.InFeatures + 1) / 2,
            OutFeatures = weight.OutFeatures,
            Functions = _functions.Count == 0 ? null : _functions.Pointer,
        };
        var workPerPanel = (long)rows * weight.InFeatures * PanelWidth;
        CpuParallel.For(kernel, (weight.OutFeatures + PanelWidth - 1) / PanelWidth, Math.Max(1, MinWorkPerThread / Math.Max(1, workPerPanel)));
        return output;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _functions.Dispose();
        _code?.Dispose();
    }
}
