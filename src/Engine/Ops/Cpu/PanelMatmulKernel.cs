namespace LocalLlm.Ops.Cpu;

/// <summary>
/// float32 x · Wᵀ + bias over weights stored in panels of 32 outputs: [ceil(out / 32), in, 32]. The lanes are outputs. Every
/// output adds its products in the order of the inputs, so a row's result does not depend on the other rows: it has the same
/// bits alone and in any batch, which library GEMMs do not guarantee.
/// </summary>
internal unsafe struct PanelMatmulKernel : IRangeKernel
{
    /// <summary>Outputs per panel: two vectors.</summary>
    public const int PanelWidth = 32;

    /// <summary>[rows, in].</summary>
    public float* Input;

    /// <summary>[ceil(out / 32), in, 32], zero past the last output.</summary>
    public float* Panels;

    /// <summary>[out] or null.</summary>
    public float* Bias;

    /// <summary>[rows, out].</summary>
    public float* Output;

    public int Rows;
    public int InFeatures;
    public int OutFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        var tile = stackalloc float[8 * PanelWidth];
        for (var panel = begin; panel < end; panel++)
        {
            var weights = Panels + (panel * InFeatures * PanelWidth);
            for (var row = 0; row < Rows; row += 8)
            {
                var input = Input + ((long)row * InFeatures);
                var count = Math.Min(Rows - row, 8);
                Float32PanelRows.Multiply(input, InFeatures, count, InFeatures, weights, tile);
                Store(tile, count, row, panel);
            }
        }
    }

    private readonly void Store(float* tile, int rows, int firstRow, long panel)
    {
        var column = panel * PanelWidth;
        var width = (int)Math.Min(PanelWidth, OutFeatures - column);
        for (var row = 0; row < rows; row++)
        {
            var source = tile + (row * PanelWidth);
            var target = Output + ((long)(firstRow + row) * OutFeatures) + column;
            for (var i = 0; i < width; i++)
                target[i] = Bias == null ? source[i] : source[i] + Bias[column + i];
        }
    }
}
