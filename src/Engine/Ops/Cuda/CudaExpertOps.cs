using System.Runtime.CompilerServices;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Mixtures of experts on a GPU: chosen, sorted, multiplied and summed by kernels of our own, without a word to the host. Types, widths and layouts that
/// those do not take go by plain tensor operations.
/// </summary>
internal sealed unsafe class CudaExpertOps(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, SkinnyProduct skinny, WarpgroupProducts products) : IExpertOps
{
    private const string Source = "experts.cu";
    private const int WarpSize = 32;
    private const int SortThreads = 512;
    private const int CombineThreads = 128;

    // Beyond, one block would take longer than several that read everything.
    private const int MaxAssignmentsOfBlock = 2048;
    private const int SortBlocks = 32;

    private readonly TorchExpertOps _plain = new();

    // null: these experts are not for the kernels. Experts live as long as their model.
    private readonly ConditionalWeakTable<IExperts, StrongBox<ExpertTables?>> _tables = [];

    /// <inheritdoc/>
    public ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing)
    {
        var tokens = (int)logits.size(0);
        var ids = workspace.Rent(WorkspaceSlot.ExpertIds, tokens, routing.PerToken, ScalarType.Int32);
        var weights = workspace.Rent(WorkspaceSlot.ExpertWeights, tokens, routing.PerToken, ScalarType.Float32);
        var defines = $"{KernelCompiler.TypeMacro(ScalarType.Float32)} EXPERTS={routing.Count} PER_TOKEN={routing.PerToken} GROUPS={routing.Groups} "
            + $"GROUPS_PER_TOKEN={routing.GroupsPerToken} BY_TWO={(routing.Choice == ExpertChoice.NoAuxiliaryLoss ? 1 : 0)} "
            + $"SOFTMAX={(routing.Scoring == ExpertScoring.Softmax ? 1 : 0)} NORMALIZED={(routing.NormalizesWeights ? 1 : 0)}";
        kernels.Get(Source, "route", defines).Launch((tokens, 1, 1), WarpSize, [logits, bias, ids, weights, routing.WeightScale]);
        return new(ids, weights);
    }

    /// <inheritdoc/>
    public Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts) => _plain.Sum(x, groups, weights, experts);

    /// <inheritdoc/>
    public Tensor? TrySum(Tensor x, ExpertChoices choices, IExperts experts)
    {
        if (x.dtype == ScalarType.Float32 || TablesOf(experts) is not { } tables)
            return null;
        var (tokens, perToken, hidden) = ((int)x.size(0), (int)choices.Ids.size(1), (int)x.size(1));
        var assignments = tokens * perToken;
        var macros = $"{KernelCompiler.TypeMacro(x.dtype)} EXPERTS={experts.Count} PER_TOKEN={perToken}";

        var rows = new ExpertRows(assignments, perToken, experts.Count, assignments <= MaxAssignmentsOfBlock, 0);
        using var sorted = workspace.Rent(WorkspaceSlot.ExpertOrder, 1, rows.Length, ScalarType.Int32);
        rows = rows with { Memory = (ulong)sorted.DataPointer() };
        Sort(choices.Ids, experts.First, rows, macros);
        using var inner = workspace.Rent(WorkspaceSlot.ExpertInner, assignments, tables.GateUp.OutFeatures / 2, x.dtype);
        Multiply(x, tables.GateUp, inner, rows, SkinnyRows.TokensToExperts);
        using var results = workspace.Rent(WorkspaceSlot.ExpertResults, assignments, hidden, x.dtype);
        Multiply(inner, tables.Down, results, rows, SkinnyRows.ExpertsToTokens);

        var sum = workspace.Rent(WorkspaceSlot.ExpertSums, tokens, hidden, ScalarType.Float32);
        var parts = Math.Max(1, hidden / (8 * CombineThreads));
        kernels.Get(Source, "combine", macros).Launch(
            (tokens, parts, 1), CombineThreads, [results, choices.Ids, choices.Weights, sum, hidden, experts.First]);
        return sum;
    }

    private void Sort(Tensor ids, int first, ExpertRows rows, string macros)
    {
        kernels.Get(Source, "sortByExpert", macros).Launch(
            (rows.IsSmall ? 1 : SortBlocks, 1, 1), SortThreads,
            [ids, rows.Assignments, first, rows.Starts, rows.Order, rows.Active, rows.RowsOfTile, rows.Tiles, rows.MaxTiles]);
        if (!rows.IsSmall)
            kernels.Get(Source, "listTiles", macros).Launch((1, 1, 1), WarpSize, [rows.Starts, rows.RowsOfTile, rows.Tiles, rows.MaxTiles]);
    }

    private void Multiply(Tensor x, ExpertTable table, Tensor y, ExpertRows rows, SkinnyRows direction)
    {
        if (table.Grid is { } grid && products.Takes(x.dtype, grid, table.InFeatures))
        {
            using var quantised = products.Quantise(x);
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
            _tables.Add(experts, known = new(ExpertTables.TryCreate(experts, device)));
        return known.Value;
    }
}
