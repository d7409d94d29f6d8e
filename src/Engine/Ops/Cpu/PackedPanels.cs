using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Finds out whether oneDNN packed a bfloat16 matrix as <see cref="PairPanels"/>, as it does for bfloat16 instructions on wide vectors. Our
/// own kernels then multiply few rows from the same memory. oneDNN does not guarantee its layout, so every matrix is checked.
/// </summary>
internal static unsafe class PackedPanels
{
    private const int Width = MatvecKernel.PanelWidth;

    // Elements of each panel that are compared. A different layout has other values at nearly all of them.
    private const int Samples = 24;

    // Max number of panels for each sample that is not zero. Zeros match in any layout, so a matrix of mostly zeros proves nothing.
    private const int MaxPanelsPerNonZero = 4;

    /// <summary>Finds the panels; null: the layout is a different one.</summary>
    /// <param name="packed">The matrix as oneDNN packed it.</param>
    /// <param name="weight">[out, in] the matrix before packing, contiguous.</param>
    public static PairPanels? Find(Tensor packed, Tensor weight)
    {
        var (outFeatures, inFeatures) = (weight.size(0), weight.size(1));
        var panels = (outFeatures + Width - 1) / Width;
        var (address, bytes) = MkldnnLinear.MemoryOf(packed);
        var elements = bytes / sizeof(ushort);
        var pairs = elements / (panels * Width * 2);
        if (address == 0 || pairs * panels * Width * 2 != elements || 2 * pairs < inFeatures || pairs > int.MaxValue)
            return null;
        var found = (ushort*)address;
        var source = (ushort*)weight.DataPointer();
        var nonZeros = 0L;
        for (long panel = 0; panel < panels; panel++)
        {
            for (var sample = 0; sample < Samples; sample++)
            {
                // The corners, and places between them at multiples of odd numbers.
                var (lane, input) = sample switch
                {
                    0 => (0, 0),
                    1 => (Width - 1, 0),
                    2 => (0, (2 * pairs) - 1),
                    3 => (Width - 1, (2 * pairs) - 1),
                    4 => (Width - 1, inFeatures - 1),
                    _ => (((sample * 41) + panel) % Width, ((sample * 7919) + (panel * 31)) % (2 * pairs)),
                };
                var row = (panel * Width) + lane;
                var wanted = row < outFeatures && input < inFeatures ? source[(row * inFeatures) + input] : (ushort)0;
                if (found[(((panel * pairs) + (input / 2)) * Width * 2) + (lane * 2) + (input % 2)] != wanted)
                    return null;
                if (wanted != 0)
                    nonZeros++;
            }
        }

        return nonZeros * MaxPanelsPerNonZero >= panels ? new(address, (int)pairs) : null;
    }
}
