namespace LocalLlm.Ops.Cpu;

/// <summary>Brings a weight matrix into the layout of <see cref="PanelMatmulKernel"/>.</summary>
internal unsafe struct PackPanelsKernel : IRangeKernel
{
    /// <summary>[out, in].</summary>
    public float* Weight;

    /// <summary>[ceil(out / 32), in, 32].</summary>
    public float* Panels;

    public int OutFeatures;
    public int InFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        const int width = PanelMatmulKernel.PanelWidth;
        for (var panel = begin; panel < end; panel++)
        {
            for (var lane = 0; lane < width; lane++)
            {
                var row = (panel * width) + lane;
                var target = Panels + (panel * InFeatures * width) + lane;
                for (var k = 0; k < InFeatures; k++)
                    target[k * width] = row < OutFeatures ? Weight[(row * InFeatures) + k] : 0;
            }
        }
    }
}
