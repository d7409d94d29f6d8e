using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The rows of a step's experts on the card, as <c>experts.cu</c> sorts them.</summary>
/// <param name="Assignments">Tokens times experts of a token.</param>
/// <param name="PerToken">Experts of a token.</param>
/// <param name="Experts">Of this rank.</param>
/// <param name="IsSmall">Whether one block sorts them, so that only experts with rows are in <see cref="Active"/>.</param>
/// <param name="Memory">Where all of it begins, int32: tiles, starts, active, order.</param>
internal readonly record struct ExpertRows(int Assignments, int PerToken, int Experts, bool IsSmall, ulong Memory)
{
    private const int IntsOfTile = 2;

    /// <summary>Experts of the layer, whichever rank has them: what assignments are of.</summary>
    public int LayerExperts { get; init; } = Experts;

    /// <summary>Rows of an expert, on average.</summary>
    public int MeanRows => Assignments / LayerExperts;

    /// <summary>Products at once at most: experts that may have rows.</summary>
    public int Products => IsSmall ? Math.Min(Experts, Assignments) : Experts;

    /// <summary>Rows of a tile: twice the mean of an expert, whichever rank has it, so that few have a second one.</summary>
    public int RowsOfTile => WarpgroupTiling.RowsAtOnce(2 * Assignments / Math.Min(LayerExperts, Math.Max(1, Assignments)));

    /// <summary>Tiles of all experts at most.</summary>
    public int MaxTiles => Products + (Assignments / RowsOfTile);

    /// <summary>[max tiles, 2] int32: the expert, and which tile of its rows; then -1.</summary>
    public ulong Tiles => Memory;

    /// <summary>[experts + 1] int32: where each expert's rows begin.</summary>
    public ulong Starts => At(IntsOfTile * MaxTiles);

    /// <summary>[experts] int32: those with rows, then -1.</summary>
    public ulong Active => At((IntsOfTile * MaxTiles) + Experts + 1);

    /// <summary>[assignments] int32: by expert, in the order of the tokens.</summary>
    public ulong Order => At((IntsOfTile * MaxTiles) + (2 * Experts) + 1);

    /// <summary>Int32 that all of it takes at most: never more with fewer assignments, whatever tiles they have.</summary>
    public int Length => (IntsOfTile * (Experts + (Assignments / WarpgroupTiling.RowsAtOnce(1)))) + (2 * Experts) + 1 + Assignments;

    private ulong At(int index) => Memory + ((ulong)index * sizeof(int));
}

/// <summary>Where one matrix of every expert of a rank lies; all have one shape and, of 8-bit floats, one grid.</summary>
/// <param name="Data">[experts] addresses, int64 on the card.</param>
/// <param name="Scales">[experts] addresses; null: the elements are of the activation type.</param>
/// <param name="ScaleRows">[out] int32: the row of blocks of each output, or null.</param>
/// <param name="Grid">Which scale an element has, or null.</param>
/// <param name="ScaleColumns">Blocks of a row.</param>
/// <param name="OutFeatures">Rows of a matrix.</param>
/// <param name="InFeatures">Columns of a matrix.</param>
internal sealed record ExpertTable(
    Tensor Data, Tensor? Scales, Tensor? ScaleRows, Fp8Grid? Grid, int ScaleColumns, int OutFeatures, int InFeatures) : IDisposable
{
    /// <summary>
    /// [experts, 128] bytes: where the copy engine finds each (<see cref="TensorMaps"/>); null: nothing multiplies many rows so.
    /// </summary>
    public Tensor? Maps { get; init; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Maps?.Dispose();
        Data.Dispose();
        Scales?.Dispose();
        ScaleRows?.Dispose();
    }
}

/// <summary>The tables of a layer's experts; whoever creates them disposes them, and the matrices live at least as long.</summary>
internal sealed record ExpertTables(ExpertTable GateUp, ExpertTable Down) : IDisposable
{
    /// <summary>Whether the expert of every token (<see cref="IExperts.Shared"/>) follows the last one.</summary>
    public bool HasShared { get; init; }

    /// <inheritdoc/>
    public void Dispose()
    {
        GateUp.Dispose();
        Down.Dispose();
    }

    /// <summary>Creates them.</summary>
    /// <param name="experts">Of a rank, loaded.</param>
    /// <param name="device">Where the tables lie.</param>
    /// <returns>Null: some matrix is in a form, or of a width, that the kernels do not take.</returns>
    public static ExpertTables? TryCreate(IExperts experts, Device device)
    {
        var matrices = Enumerable.Range(experts.First, experts.Count).Select(experts.MatricesOf).ToArray();
        if (matrices.Length == 0 || Array.Exists(matrices, one => one is null))
            return null;
        ExpertMatrices[] own = [.. matrices.Select(one => one!.Value)];
        if (experts.Shared is { } shared && HasShapeOf(shared.GateUp, own[0].GateUp) && HasShapeOf(shared.Down, own[0].Down)
            && TryCreate([.. own, shared], device) is { } all)
        {
            return all with { HasShared = true };
        }

        return TryCreate(own, device);
    }

    private static bool HasShapeOf(IWeightMatrix one, IWeightMatrix other) =>
        (one.OutFeatures, one.InFeatures) == (other.OutFeatures, other.InFeatures);

    private static ExpertTables? TryCreate(ExpertMatrices[] matrices, Device device)
    {
        if (TryCreate([.. matrices.Select(one => one.GateUp)], device) is not { } gateUp)
            return null;
        if (TryCreate([.. matrices.Select(one => one.Down)], device) is { } down)
            return new(gateUp, down);
        gateUp.Dispose();
        return null;
    }

    private static ExpertTable? TryCreate(IWeightMatrix[] matrices, Device device)
    {
        var (outputs, inputs) = (matrices[0].OutFeatures, matrices[0].InFeatures);
        if (outputs % 8 != 0)
            return null;
        if (Array.TrueForAll(matrices, matrix => matrix is LinearWeight { Bias: null }))
        {
            return SkinnyProduct.Takes(((LinearWeight)matrices[0]).Data.dtype, 1, inputs, fp8: false)
                ? new(Addresses(matrices, matrix => ((LinearWeight)matrix).Data, device), null, null, null, 0, outputs, inputs) : null;
        }

        if (matrices[0] is not Fp8Weight first || !SkinnyProduct.TakesGrid(first.Grid, inputs)
            || !Array.TrueForAll(matrices, matrix => matrix is Fp8Weight { Bias: null } fp8 && ReferenceEquals(fp8.Grid, first.Grid)))
        {
            return null;
        }

        return new(
            Addresses(matrices, matrix => ((Fp8Weight)matrix).Data, device), Addresses(matrices, matrix => ((Fp8Weight)matrix).Scales, device),
            tensor(first.Grid.ScaleRows, device: device).DetachFromDisposeScope(), first.Grid, (int)first.Scales.size(1), outputs, inputs);
    }

    private static unsafe Tensor Addresses(IWeightMatrix[] matrices, Func<IWeightMatrix, Tensor> data, Device device) =>
        tensor(matrices.Select(matrix => (long)data(matrix).DataPointer()).ToArray(), device: device).DetachFromDisposeScope();
}
