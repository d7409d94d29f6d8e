using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Mixtures of experts on a GPU: our own kernels choose, sort, multiply and sum, without the host. Plain tensor operations compute the
/// types, widths, layouts and numbers of experts that the kernels do not support.
/// </summary>
internal sealed unsafe class CudaExpertOps(
    CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs, SkinnyProduct skinny, WarpgroupProducts products,
    BulkProducts bulk)
    : IExpertOps, IDisposable
{
    /// <summary>Number of rows from which on libtorch's product by a router is faster.</summary>
    public const int MinManyRows = 512;

    private const string Source = "experts.cu";
    private const int WarpSize = 32;
    private const int SortThreads = 512;
    private const int CombineThreads = 128;
    private const int RouterThreads = 256;
    private const int PlaceThreads = 256;
    private const int MaxRouterTile = 8;
    private const int MaxEarlyPacks = 4;
    private const int Pack = 8; // 16-bit elements of one access

    // With more, one block would take longer than several blocks that each read everything.
    private const int MaxAssignmentsOfBlock = 2048;
    private const int SortBlocks = 32;
    private const int MaxJoinedTokens = 8; // on cards without warpgroups
    private const int FewAssignments = 128; // up to here they are sorted by comparing each with all

    // A warp keeps the scores of all experts and groups in registers, and a thread all results of a token. With higher limits, kernels
    // spill the registers and take longer than two seconds to compile. The models they were written for have 256, 8 and 8.
    private const int MaxExperts = 1024;
    private const int MaxGroups = 64;
    private const int MaxPerToken = 32;

    private readonly TorchExpertOps _plain = new();
    private readonly ExpertCounters _counters = new(device);
    private readonly RouterScores _scores = new();

    // null: the kernels do not support these experts. A model is disposed before its device's operations.
    private readonly Dictionary<IExperts, ExpertTables?> _tables = new(ReferenceEqualityComparer.Instance);

    /// <summary>Whether the kernels support these numbers of experts, of groups, and of experts per token.</summary>
    public static bool Takes(ExpertRouting routing) =>
        routing is { Count: <= MaxExperts, Groups: <= MaxGroups, PerToken: <= MaxPerToken };

    /// <inheritdoc/>
    /// <remarks>Eight rows at a time read the matrix; after the first eight it is in the card's cache.</remarks>
    public Tensor? TryLogits(Tensor x, LinearWeight weight)
    {
        var (rows, width, outputs) = ((int)x.size(0), weight.InFeatures, weight.OutFeatures);
        if (x.dtype == ScalarType.Float32 || width % Pack != 0 || weight.Bias is not null)
            return null;
        if (rows >= MinManyRows)
        {
            if (!RouterScores.Takes(x.dtype))
                return null;
            // Memory is measured with a long step; this is the room for shorter ones. Growing it later would drop recorded steps.
            workspace.Reserve(WorkspaceSlot.Router, (MinManyRows - 1L) * outputs, ScalarType.Float32);
            return _scores.Multiply(x, weight);
        }

        var y = workspace.Rent(WorkspaceSlot.Router, rows, outputs, ScalarType.Float32);
        var tile = rows switch { 1 => 1, 2 => 2, <= 4 => 4, _ => MaxRouterTile };
        var tiles = (rows + tile - 1) / tile;
        var owned = tiles == 1 ? 2 : 4;
        // With one tile of rows, blocks wait for the matrix; with more tiles, for each other.
        var early = tiles == 1 ? Math.Clamp((width + (Pack * RouterThreads) - 1) / (Pack * RouterThreads), 1, MaxEarlyPacks) : 1;
        var defines = $"{KernelCompiler.TypeMacro(x.dtype)} TILE={tile} OUTPUTS={owned} EARLY={early}";
        kernels.Get("router.cu", "routerLogits", defines).Launch(
            ((outputs + owned - 1) / owned, tiles, 1), RouterThreads, [weight.Data, x, y, rows, outputs, width]);
        return y;
    }

    /// <inheritdoc/>
    public ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing, bool joinsShared = false)
    {
        if (!Takes(routing))
            return _plain.Route(logits, bias, routing);
        var (tokens, columns) = ((int)logits.size(0), routing.PerToken + (joinsShared ? 1 : 0));
        // Shorter steps may have one column more. Memory is not measured with those, so make room here.
        var joined = Math.Min(tokens, SkinnyTiling.MaxRows) * (routing.PerToken + 1L);
        workspace.Reserve(WorkspaceSlot.ExpertIds, joined, ScalarType.Int32);
        workspace.Reserve(WorkspaceSlot.ExpertWeights, joined, ScalarType.Float32);
        var ids = workspace.Rent(WorkspaceSlot.ExpertIds, tokens, columns, ScalarType.Int32);
        var weights = workspace.Rent(WorkspaceSlot.ExpertWeights, tokens, columns, ScalarType.Float32);
        var defines = $"{KernelCompiler.TypeMacro(ScalarType.Float32)} EXPERTS={routing.Count} PER_TOKEN={routing.PerToken} GROUPS={routing.Groups} "
            + $"GROUPS_PER_TOKEN={routing.GroupsPerToken} BY_TWO={(routing.Choice == ExpertChoice.NoAuxiliaryLoss ? 1 : 0)} "
            + $"SOFTMAX={(routing.Scoring == ExpertScoring.Softmax ? 1 : 0)} NORMALIZED={(routing.NormalizesWeights ? 1 : 0)} "
            + $"JOINED={(joinsShared ? 1 : 0)}";
        kernels.Get("routing.cu", "route", defines).Launch(
            (tokens, 1, 1), WarpSize, [logits, bias, inputs.HasPadding && inputs.Rows == tokens ? inputs.ContextLengths : 0ul, ids, weights, routing.WeightScale]);
        return new(ids, weights, joinsShared);
    }

    /// <inheritdoc/>
    public Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts) => _plain.Sum(x, groups, weights, experts);

    /// <inheritdoc/>
    public bool Takes(IExperts experts, ScalarType type) => type != ScalarType.Float32 && TablesOf(experts) is not null;

    /// <inheritdoc/>
    /// <remarks>
    /// For few tokens, a separate product spends more on launches than on reading its matrices. On cards without warpgroups, an expert with
    /// many more rows than the others reads its matrices several times.
    /// </remarks>
    public bool JoinsShared(IExperts experts, ScalarType type, long tokens) =>
        type != ScalarType.Float32 && TablesOf(experts) is { HasShared: true, Down.InFeatures: var width }
        && tokens <= (products.Takes(type, width) ? SkinnyTiling.MaxRows : MaxJoinedTokens);

    /// <inheritdoc/>
    public NormalisedRows? TryNormalise(Tensor x, Tensor weight, float epsilon, IExperts experts)
    {
        var (rows, width) = ((int)x.size(0), (int)x.size(1));
        if (rows > SkinnyTiling.MaxRows || TablesOf(experts) is not { GateUp: { Grid: { } grid, InFeatures: var inputs } }
            || !products.Takes(x.dtype, grid, inputs))
        {
            return null;
        }

        var normed = workspace.Rent(WorkspaceSlot.Normed, rows, width, x.dtype);
        if (products.TryQuantiseNormed(x, weight, epsilon, normed) is { } quantised)
            return new(normed, quantised);
        normed.Dispose();
        return null;
    }

    /// <inheritdoc/>
    public Tensor? TrySum(Tensor x, ExpertChoices choices, IExperts experts, Tensor? shared, Tensor? residual, QuantisedRows? quantised)
    {
        if (x.dtype == ScalarType.Float32 || TablesOf(experts) is not { } tables)
            return null;
        var (tokens, perToken, hidden) = ((int)x.size(0), (int)choices.Ids.size(1), (int)x.size(1));
        var assignments = tokens * perToken;
        var ids = choices.Ids;
        var joined = choices.HasShared ? 1 : 0;
        var count = experts.Count + joined;
        var macros = $"{KernelCompiler.TypeMacro(x.dtype)} EXPERTS={count} PER_TOKEN={perToken}";

        if (experts.Shares is { } shares)
            ids = Place(choices.Ids, experts, shares, macros);
        var rows = new ExpertRows(assignments, perToken, count, assignments <= MaxAssignmentsOfBlock, 0)
        {
            // For experts that change ranks, Total is the number of ranks.
            LayerExperts = experts.Shares is null ? experts.Total + joined : experts.Count * experts.Total,
        };
        if (tables.HasShared && joined == 0)
            MakeRoom(tables, rows, Math.Min(tokens, SkinnyTiling.MaxRows) * (perToken + 1), hidden, x.dtype);
        using var sorted = workspace.Rent(WorkspaceSlot.ExpertOrder, 1, rows.Length, ScalarType.Int32);
        rows = rows with { Memory = (ulong)sorted.DataPointer() };
        Sort(ids, experts, rows, macros);
        using var inner = workspace.Rent(WorkspaceSlot.ExpertInner, assignments, tables.GateUp.OutFeatures / 2, x.dtype);
        using var results = workspace.Rent(WorkspaceSlot.ExpertResults, assignments, hidden, x.dtype);
        if (TakesBulk(tables, rows))
        {
            using var lists = workspace.Rent(WorkspaceSlot.ExpertTiles, 1, new BulkRows(rows, 0).Length, ScalarType.Int32);
            // Memory is measured with a long step; this is the room for shorter ones.
            var fewer = Math.Max(MaxAssignmentsOfBlock, (BulkProducts.MinRows * rows.LayerExperts) - 1);
            if (tables.GateUp.Grid is not null)
            {
                products.MakeRoom(fewer / perToken, hidden);
                products.MakeRoom(fewer, tables.Down.InFeatures);
            }

            var many = bulk.List(rows, (ulong)lists.DataPointer(), macros);
            bulk.MultiplyExperts(x, tables.GateUp, inner, many, TokenPermutation.ToExperts);
            bulk.MultiplyExperts(inner, tables.Down, results, many, TokenPermutation.ToTokens);
        }
        else
        {
            Multiply(x, quantised, tables.GateUp, inner, rows, TokenPermutation.ToExperts);
            Multiply(inner, null, tables.Down, results, rows, TokenPermutation.ToTokens);
        }

        var sum = residual ?? workspace.Rent(WorkspaceSlot.ExpertSums, tokens, hidden, x.dtype);
        var parts = Math.Max(1, hidden / (Pack * CombineThreads));
        kernels.Get(Source, "combine", macros).Launch(
            (tokens, parts, 1), CombineThreads,
            [results, ids, choices.Weights, shared, sum, hidden, experts.First, residual is null ? 0 : 1]);
        return sum;
    }

    /// <inheritdoc/>
    public void Forget(IExperts experts)
    {
        if (_tables.Remove(experts, out var known))
            known?.Dispose();
    }

    /// <inheritdoc/>
    public void ReadUsage(IReadOnlyList<CountedExperts> layers) => _counters.Read(layers);

    /// <inheritdoc/>
    public void ForgetUsage() => _counters.Clear();

    /// <inheritdoc/>
    public void Dispose()
    {
        _counters.Dispose();
        _scores.Dispose();
        foreach (var tables in _tables.Values)
            tables?.Dispose();
        _tables.Clear();
    }

    // Maps ids to places on this rank, for the tokens that this rank computes. Counts the tokens of every expert and rank.
    private Tensor Place(Tensor ids, IExperts experts, ExpertShares shares, string macros)
    {
        var places = workspace.Rent(WorkspaceSlot.ExpertPlaces, ids.size(0), ids.size(1), ScalarType.Int32);
        var assignments = (int)ids.numel();
        kernels.Get(Source, "placeChoices", macros).Launch(
            ((assignments + PlaceThreads - 1) / PlaceThreads, 1, 1), PlaceThreads,
            [ids, assignments, shares.Table, shares.Width, shares.Rank, places, shares.Loads, _counters.Of(experts)]);
        return places;
    }

    // Room for steps that the shared expert joins: they have more assignments than slightly longer steps without it.
    private void MakeRoom(ExpertTables tables, ExpertRows rows, int assignments, int hidden, ScalarType type)
    {
        var joined = rows with { Assignments = assignments, Experts = rows.Experts + 1 };
        workspace.Reserve(WorkspaceSlot.ExpertOrder, joined.Length, ScalarType.Int32);
        workspace.Reserve(WorkspaceSlot.ExpertInner, (long)assignments * (tables.GateUp.OutFeatures / 2), type);
        workspace.Reserve(WorkspaceSlot.ExpertResults, (long)assignments * hidden, type);
        if (tables.Down.Grid is not null && products.Quantises(type))
            products.MakeRoom(assignments, tables.Down.InFeatures);
    }

    private void Sort(Tensor ids, IExperts experts, ExpertRows rows, string macros)
    {
        kernels.Get(Source, rows.Assignments <= FewAssignments ? "sortFew" : "sortByExpert", macros).Launch(
            (rows.IsSmall ? 1 : SortBlocks, 1, 1), SortThreads,
            [
                ids, rows.Assignments, experts.First, rows.Starts, rows.Order, rows.Active, rows.RowsOfTile, rows.Tiles, rows.MaxTiles,
                experts.Shares is null ? _counters.Of(experts) : 0ul, experts.Total,
            ]);
        if (!rows.IsSmall)
            kernels.Get(Source, "listTiles", macros).Launch((1, 1, 1), WarpSize, [rows.Starts, rows.RowsOfTile, rows.Tiles, rows.MaxTiles]);
    }

    // Never while a step is recorded: such steps have too few rows.
    private static bool TakesBulk(ExpertTables tables, ExpertRows rows) =>
        tables is { GateUp.Maps: not null, Down.Maps: not null } && !rows.IsSmall && rows.MeanRows >= BulkProducts.MinRows;

    private void Multiply(Tensor x, QuantisedRows? known, ExpertTable table, Tensor y, ExpertRows rows, TokenPermutation direction)
    {
        if (table.Grid is { } grid && products.Takes(x.dtype, grid, table.InFeatures))
        {
            using var quantised = known ?? products.Quantise(x);
            products.MultiplyExperts(quantised, table, y, rows, direction);
        }
        else if (table.Grid is null && products.Takes(x.dtype, table.InFeatures))
        {
            products.MultiplyExperts(x, table, y, rows, direction);
        }
        else
        {
            skinny.MultiplyExperts(x, table, y, rows, direction);
        }
    }

    private ExpertTables? TablesOf(IExperts experts)
    {
        if (!_tables.TryGetValue(experts, out var known))
            _tables.Add(experts, known = experts.Routing is { } routing && !Takes(routing) ? null : Create(experts));
        return known;
    }

    private ExpertTables? Create(IExperts experts) =>
        ExpertTables.TryCreate(experts, device.Torch) is { } tables ? bulk.Described(tables) : null;
}
