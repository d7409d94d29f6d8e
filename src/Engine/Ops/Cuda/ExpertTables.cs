using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The rows of a step's experts on the card, as <c>experts.cu</c> sorts them.</summary>
/// <param name="Assignments">Number of tokens times experts per token.</param>
/// <param name="PerToken">Experts per token.</param>
/// <param name="Experts">Number of experts of this rank.</param>
/// <param name="IsSmall">Whether one block sorts the rows; only experts with rows are then in <see cref="Active"/>.</param>
/// <param name="Memory">Address of the lists, int32: tiles, starts, active, order.</param>
internal readonly record struct ExpertRows(int Assignments, int PerToken, int Experts, bool IsSmall, ulong Memory)
{
    private const int IntsOfTile = 2;

    /// <summary>Number of experts of the layer on all ranks; assignments go to all of these.</summary>
    public int LayerExperts { get; init; } = Experts;

    /// <summary>Mean number of rows of an expert.</summary>
    public int MeanRows => Assignments / LayerExperts;

    /// <summary>Max number of products at once: experts that may have rows.</summary>
    public int Products => IsSmall ? Math.Min(Experts, Assignments) : Experts;

    /// <summary>Rows of a tile: twice the mean number of rows of an expert, so few experts need a second tile.</summary>
    public int RowsOfTile => WarpgroupTiling.RowsAtOnce(2 * Assignments / Math.Min(LayerExperts, Math.Max(1, Assignments)));

    /// <summary>Max number of tiles of all experts.</summary>
    public int MaxTiles => Products + (Assignments / RowsOfTile);

    /// <summary>[max tiles, 2] int32: for each tile its expert and its index among the expert's tiles; then -1.</summary>
    public ulong Tiles => Memory;

    /// <summary>[experts + 1] int32: where each expert's rows begin.</summary>
    public ulong Starts => At(IntsOfTile * MaxTiles);

    /// <summary>[experts] int32: the experts with rows, then -1.</summary>
    public ulong Active => At((IntsOfTile * MaxTiles) + Experts + 1);

    /// <summary>[assignments] int32: the assignments sorted by expert, those of one expert in the order of the tokens.</summary>
    public ulong Order => At((IntsOfTile * MaxTiles) + (2 * Experts) + 1);

    /// <summary>Max number of int32 of all lists. Fewer assignments never need more, whatever tiles they have.</summary>
    public int Length => (IntsOfTile * (Experts + (Assignments / WarpgroupTiling.RowsAtOnce(1)))) + (2 * Experts) + 1 + Assignments;

    private ulong At(int index) => Memory + ((ulong)index * sizeof(int));
}

/// <summary>The addresses of one matrix of every expert of a rank. All have the same shape and, if 8-bit floats, the same grid.</summary>
/// <param name="Data">[experts] addresses, int64 on the card.</param>
/// <param name="Scales">[experts] addresses; null: the elements are of the activation type.</param>
/// <param name="ScaleRows">[out] int32: the row of blocks of each output, or null.</param>
/// <param name="Grid">Which scale an element has, or null.</param>
/// <param name="ScaleColumns">Number of blocks in a row.</param>
/// <param name="OutFeatures">Rows of a matrix.</param>
/// <param name="InFeatures">Columns of a matrix.</param>
internal sealed record ExpertTable(
    Tensor Data, Tensor? Scales, Tensor? ScaleRows, Fp8Grid? Grid, int ScaleColumns, int OutFeatures, int InFeatures) : IDisposable
{
    /// <summary>
    /// [experts, 128] bytes: each matrix's tensor map for the copy engine (<see cref="TensorMaps"/>); null: <see cref="BulkProducts"/> does
    /// not support them.
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

/// <summary>The tables of a layer's experts. Their creator disposes them; the matrices must live at least as long.</summary>
internal sealed record ExpertTables(ExpertTable GateUp, ExpertTable Down) : IDisposable
{
    /// <summary>Whether the shared expert (<see cref="IExperts.Shared"/>) follows the last routed one.</summary>
    public bool HasShared { get; init; }

    /// <inheritdoc/>
    public void Dispose()
    {
        GateUp.Dispose();
        Down.Dispose();
    }

    /// <summary>Creates the tables.</summary>
    /// <param name="experts">The loaded experts of a rank.</param>
    /// <param name="device">The device of the tables.</param>
    /// <returns>Null: the kernels do not support the form or width of some matrix.</returns>
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
