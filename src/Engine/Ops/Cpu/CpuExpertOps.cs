using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Mixtures of experts on the CPU. A token's experts are the same alone and in any batch. Experts with few rows are computed all at once,
/// in loops over the outputs of all of them; experts with many rows one after the other.
/// </summary>
/// <param name="batchInvariant">
/// Whether bfloat16 results of a token have the same bits in any step, as float32 results always do. Products are then multiplied one after
/// the other, as outside of experts.
/// </param>
internal sealed unsafe class CpuExpertOps(bool batchInvariant = false) : IExpertOps, IDisposable
{
    /// <summary>Steps of more tokens compute experts one after the other, to bound the memory for the rows of all experts.</summary>
    public const int MaxTokens = 256;

    // Fewer tokens than this are not worth waking a thread.
    private const long MinTokensPerThread = 64;

    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    // With more rows, oneDNN's bfloat16 instructions save more than its calls cost.
    private const int MaxBFloat16Rows = 4;

    private readonly TorchExpertOps _plain = new();
    private readonly NativeBuffer<ActiveExpert> _few = new();
    private readonly NativeBuffer<int> _tokens = new(); // of the rows of experts with few rows
    private readonly NativeBuffer<int> _results = new(); // of each token, in the order of the experts
    private readonly NativeBuffer<float> _weights = new(); // of the results
    private readonly NativeBuffer<int> _nextItem = new();
    private readonly List<(int Expert, int FirstResult)> _many = [];

    /// <inheritdoc/>
    public ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing, bool joinsShared = false)
    {
        var tokens = logits.size(0);
        var ids = empty([tokens, routing.PerToken], ScalarType.Int64);
        var weights = empty([tokens, routing.PerToken], ScalarType.Float32);
        var kernel = new RouterKernel
        {
            Scores = (float*)logits.DataPointer(),
            Bias = bias is null ? null : (float*)bias.DataPointer(),
            Ids = (long*)ids.DataPointer(),
            Weights = (float*)weights.DataPointer(),
            Experts = routing.Count,
            PerToken = routing.PerToken,
            Groups = routing.Groups,
            GroupsPerToken = routing.GroupsPerToken,
            Scoring = routing.Scoring,
            Choice = routing.Choice,
            Normalizes = routing.NormalizesWeights,
            WeightScale = routing.WeightScale,
        };
        CpuParallel.For(kernel, tokens, MinTokensPerThread);
        return new(ids, weights);
    }

    /// <inheritdoc/>
    public Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts)
    {
        if (x.size(0) > MaxTokens || (batchInvariant && x.dtype != ScalarType.Float32) || FirstActive(groups, experts) is not { } first || !AreAlike(first) || !Plan(x, groups, experts, first))
            return _plain.Sum(x, groups, weights, experts);
        return (first.GateUp, first.Down, x.dtype) switch
        {
            (LinearWeight gateUp, LinearWeight down, ScalarType.Float32) =>
                Sum<float, Float32Element, Float32Product>(x, groups, weights, experts, ShapeOf(gateUp), ShapeOf(down)),
            (LinearWeight gateUp, LinearWeight down, _) =>
                Sum<ushort, BFloat16Element, BFloat16Product>(x, groups, weights, experts, ShapeOf(gateUp), ShapeOf(down)),
            (Fp8Weight gateUp, Fp8Weight down, ScalarType.Float32) => SumFp8<float, Float32Element>(x, groups, weights, experts, gateUp, down),
            (Fp8Weight gateUp, Fp8Weight down, _) => SumFp8<ushort, BFloat16Element>(x, groups, weights, experts, gateUp, down),
            _ => throw new InvalidOperationException("Experts of an unknown kind were planned."),
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _few.Dispose();
        _tokens.Dispose();
        _results.Dispose();
        _weights.Dispose();
        _nextItem.Dispose();
    }

    private static ExpertMatrices? FirstActive(ExpertGroups groups, IExperts experts)
    {
        for (var expert = experts.First; expert < experts.First + experts.Count; expert++)
        {
            if (!groups.Of(expert).Tokens.IsEmpty)
                return experts.MatricesOf(expert);
        }

        return null;
    }

    // A checkpoint in 8-bit floats may leave one of an expert's matrices unquantised.
    private static bool AreAlike(ExpertMatrices expert) => expert is { GateUp: LinearWeight, Down: LinearWeight } or { GateUp: Fp8Weight, Down: Fp8Weight };

    // Lists the experts with few rows and the places of their results. False: no expert has few rows, or their matrices differ in kind.
    private bool Plan(Tensor x, ExpertGroups groups, IExperts experts, ExpertMatrices first)
    {
        // A checkpoint may leave one of the matrices unquantised.
        if (first.GateUp.GetType() != first.Down.GetType())
            return false;
        _few.Clear();
        _tokens.Clear();
        _many.Clear();
        var isNarrow = x.dtype != ScalarType.Float32 && first.GateUp is LinearWeight;
        var (maxRows, result) = (isNarrow ? MaxBFloat16Rows : ExpertTiles.MaxRows, 0);
        for (var expert = experts.First; expert < experts.First + experts.Count; expert++)
        {
            var tokens = groups.Of(expert).Tokens.Span;
            if (tokens.IsEmpty)
                continue;
            if (tokens.Length > maxRows)
                _many.Add((expert, result));
            else if (experts.MatricesOf(expert) is not { } matrices
                || PanelsOf(matrices.GateUp, first.GateUp, isNarrow) is not { } gateUp || PanelsOf(matrices.Down, first.Down, isNarrow) is not { } down)
            {
                return false;
            }
            else
            {
                _few.Add(new() { GateUp = gateUp, Down = down, FirstRow = _tokens.Count, Rows = tokens.Length, FirstResult = result });
                foreach (var token in tokens)
                    _tokens.Add((int)token);
            }

            result += tokens.Length;
        }

        return _few.Count > 0;
    }

    // Null: the matrix differs in form from the first expert's, or is not in panels.
    private static ExpertPanels? PanelsOf(IWeightMatrix matrix, IWeightMatrix first, bool isNarrow)
    {
        if (matrix.InFeatures != first.InFeatures || matrix.OutFeatures != first.OutFeatures)
            return null;
        return (matrix, first) switch
        {
            (Fp8Weight own, Fp8Weight other) when ReferenceEquals(own.Grid, other.Grid) && own.Bias is null =>
                new() { Panels = own.Data.DataPointer(), Scales = (float*)own.Scales.DataPointer() },
            (LinearWeight { Bias: null, Panels: { } panels }, LinearWeight other) when isNarrow && panels.InputPairs == other.Panels?.InputPairs =>
                new() { Panels = (void*)panels.Address },
            (LinearWeight { Bias: null } own, LinearWeight) when !isNarrow => new() { Panels = own.Data.DataPointer() },
            _ => null,
        };
    }

    private static PanelShape ShapeOf(LinearWeight weight) => new()
    {
        InFeatures = weight.InFeatures,
        OutFeatures = weight.OutFeatures,
        InputWidth = weight.Panels is { } panels ? 2 * panels.InputPairs : weight.InFeatures,
    };

    private static PanelShape ShapeOf(Fp8Weight weight, int* scaleRows)
    {
        var segments = new Fp8Segments(weight.InFeatures, weight.Grid.BlockColumns, weight.Grid.ColumnOffset);
        return new()
        {
            InFeatures = weight.InFeatures, OutFeatures = weight.OutFeatures, InputWidth = segments.PaddedWidth, Segments = segments, ScaleRows = scaleRows,
        };
    }

    private Tensor SumFp8<T, TElement>(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts, Fp8Weight gateUp, Fp8Weight down)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        fixed (int* gateUpRows = gateUp.Grid.ScaleRows, downRows = down.Grid.ScaleRows)
            return Sum<T, TElement, Fp8Product>(x, groups, weights, experts, ShapeOf(gateUp, gateUpRows), ShapeOf(down, downRows));
    }

    private Tensor Sum<T, TElement, TProduct>(
        Tensor x, ExpertGroups groups, Tensor weights, IExperts experts, PanelShape gateUp, PanelShape down)
        where T : unmanaged
        where TElement : struct, IElement<T>
        where TProduct : struct, IPanelProduct
    {
        var (tokens, hidden) = ((int)x.size(0), (int)x.size(1));
        var sum = empty([tokens, hidden], ScalarType.Float32);
        using var scope = NewDisposeScope();
        var results = empty([PlaceResults(tokens, groups, weights, experts), hidden], ScalarType.Float32);
        MultiplyFew<T, TElement, TProduct>(x, gateUp, down, results);
        foreach (var (expert, first) in _many)
        {
            using var inner = NewDisposeScope();
            var own = groups.Of(expert).Tokens;
            results.narrow(0, first, own.Length).copy_(experts.Forward(expert, x.index_select(0, tensor(own.ToArray()))));
        }

        var kernel = new SumExpertsKernel
        {
            Results = (float*)results.DataPointer(), Rows = _results.Pointer, Weights = _weights.Pointer, Output = (float*)sum.DataPointer(),
            PerToken = groups.PerToken, Hidden = hidden,
        };
        CpuParallel.For(kernel, tokens, Math.Max(1, MinWorkPerThread / ((long)hidden * groups.PerToken)));
        return sum;
    }

    // Lists the results of every token and their weights, in the order of the experts. Returns their number.
    private int PlaceResults(int tokens, ExpertGroups groups, Tensor weights, IExperts experts)
    {
        var perToken = groups.PerToken;
        _results.Resize(tokens * perToken);
        _weights.Resize(tokens * perToken);
        _results.Span.Fill(-1);
        var given = (float*)weights.DataPointer();
        var result = 0;
        for (var expert = experts.First; expert < experts.First + experts.Count; expert++)
        {
            var (own, places) = groups.Of(expert);
            for (var i = 0; i < own.Length; i++, result++)
            {
                var place = (int)own.Span[i] * perToken;
                while (_results.Span[place] >= 0)
                    place++;
                _results.Span[place] = result;
                _weights.Span[place] = given[places.Span[i]];
            }
        }

        return result;
    }

    private void MultiplyFew<T, TElement, TProduct>(Tensor x, PanelShape gateUp, PanelShape down, Tensor results)
        where T : unmanaged
        where TElement : struct, IElement<T>
        where TProduct : struct, IPanelProduct
    {
        var rows = _tokens.Count;
        var input = (float*)empty([rows, gateUp.InputWidth], ScalarType.Float32).DataPointer();
        var activated = (float*)empty([rows, down.InputWidth], ScalarType.Float32).DataPointer();
        var gather = new GatherExpertRowsKernel<T, TElement, TProduct>
        {
            Source = (T*)x.DataPointer(), Tokens = _tokens.Pointer, Target = input, Shape = gateUp,
        };
        CpuParallel.For(gather, rows, Math.Max(1, MinWorkPerThread / gateUp.InputWidth));
        _nextItem.Resize(1);
        _nextItem.Span[0] = 0;
        var inner = new ExpertGateUpKernel<TProduct>
        {
            Experts = _few.Pointer, Input = input, Output = activated, GateUp = gateUp, Down = down, NextItem = _nextItem.Pointer,
            ItemCount = _few.Count * ExpertGateUpKernel<TProduct>.TilesOf(down.InFeatures),
        };
        CpuParallel.For(inner, Threads((long)rows * gateUp.InFeatures * gateUp.OutFeatures), grain: 1);
        _nextItem.Span[0] = 0;
        var outer = new ExpertDownKernel<TProduct>
        {
            Experts = _few.Pointer, Input = activated, Results = (float*)results.DataPointer(), Down = down, NextItem = _nextItem.Pointer,
            ItemCount = _few.Count * ExpertGateUpKernel<TProduct>.TilesOf(down.OutFeatures),
        };
        CpuParallel.For(outer, Threads((long)rows * down.InFeatures * down.OutFeatures), grain: 1);
    }

    private static long Threads(long work) => Math.Clamp(work / MinWorkPerThread, 1, CpuParallel.ThreadCount);
}
