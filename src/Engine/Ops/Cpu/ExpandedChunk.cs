namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Some positions of a sequence whose keys and values are computed for all heads at once. Everything is float32 in panels of 32 lanes, the
/// layout that <see cref="Float32PanelRows"/> multiplies by.
/// </summary>
internal unsafe struct ExpandedChunk
{
    /// <summary>Lanes of a panel.</summary>
    public const int Lanes = 32;

    /// <summary>Of this rank.</summary>
    public int Heads;
    public int Rank;
    public int PlainDim;
    public int RotaryDim;
    public int ValueDim;

    /// <summary>Max number of positions of a chunk, a multiple of 32. Chunks begin at multiples of it.</summary>
    public int Capacity;

    /// <summary>The first position.</summary>
    public int First;

    /// <summary>Number of positions.</summary>
    public int Count;

    /// <summary>[positions, rank], zero from the last position to the end of its panel.</summary>
    public float* Latent;

    /// <summary>The latent vectors as [panels, rank, 32 positions].</summary>
    public float* LatentPanels;

    /// <summary>Rotated parts of keys: [panels, rotary_dim, 32 positions].</summary>
    public float* RotaryPanels;

    /// <summary>[heads, panels, <see cref="KeyRows"/>, 32 positions], rotated parts after the plain ones.</summary>
    public float* Keys;

    /// <summary>[heads, <see cref="ValuePanels"/>, positions, 32 values].</summary>
    public float* Values;

    /// <summary>Rows of a panel of keys: room for products of eight rows.</summary>
    public readonly int KeyRows => Math.Max(Up(PlainDim, Float32PanelRows.MaxRows), PlainDim + RotaryDim);

    /// <summary>Panels of a head's values.</summary>
    public readonly int ValuePanels => Up(ValueDim, Lanes) / Lanes;

    /// <summary>Max number of panels of a chunk.</summary>
    public readonly int MaxPanels => Capacity / Lanes;

    /// <summary>Number of panels of positions.</summary>
    public readonly int Panels => Up(Count, Lanes) / Lanes;

    /// <summary>Keys of a head.</summary>
    public readonly float* KeysOf(int head) => Keys + ((long)head * MaxPanels * KeyRows * Lanes);

    /// <summary>Values of a head.</summary>
    public readonly float* ValuesOf(int head) => Values + ((long)head * ValuePanels * Capacity * Lanes);

    /// <summary>Number of floats of all five parts.</summary>
    public readonly long Floats => ((long)Capacity * ((2 * Rank) + RotaryDim)) + ((long)Heads * ((MaxPanels * KeyRows * Lanes) + (ValuePanels * Capacity * Lanes)));

    /// <summary>The sizes of a layer's chunks.</summary>
    public static ExpandedChunk Of(LatentAttentionShape shape) => new()
    {
        Heads = shape.Heads, Rank = shape.Rank, PlainDim = shape.PlainDim, RotaryDim = shape.RotaryDim, ValueDim = shape.ValueDim,
        // Larger chunks need less unpacking, smaller ones less memory.
        Capacity = shape.Heads <= 32 ? 256 : 128,
    };

    /// <summary>Places the parts one after the other.</summary>
    public void Place(float* memory)
    {
        Latent = memory;
        LatentPanels = Latent + ((long)Capacity * Rank);
        RotaryPanels = LatentPanels + ((long)Capacity * Rank);
        Keys = RotaryPanels + ((long)Capacity * RotaryDim);
        Values = KeysOf(Heads);
    }

    private static int Up(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}
