using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Layers;

/// <summary>
/// The experts that a router chooses from. Each computes the rows of its own tokens. A rank has a part of every expert, or some whole
/// experts.
/// </summary>
/// <remarks>
/// Where experts are balanced, several ranks hold the busy ones and take their tokens in turn, and a rank's experts change
/// (<see cref="Rebalance"/>). A token's sum then has other partial sums, and differs in its last bits. The registered weights are those of
/// the experts that the rank begins with. Devices that sum by themselves identify experts by their places on the rank, and count by
/// themselves (<see cref="ExpertShares"/>).
/// </remarks>
internal sealed class RoutedExperts : IExperts
{
    private readonly ICollectives _ranks;
    private readonly Expert[] _experts; // of this rank
    private readonly Expert? _shared; // split like the routed experts
    private readonly IExpertOps _ops;
    private readonly ExpertGroups _groups;
    private readonly long[] _usage; // tokens of each expert over all ranks; where experts are balanced, tokens of each rank
    private readonly Device _device;
    private readonly long[] _loads = []; // tokens of each expert in the window, where the host counts; empty: experts are not balanced
    private readonly int[] _held; // the expert in each place of this rank
    private readonly int[] _order; // its places, sorted by expert
    private ExpertPlacement? _placement; // null: one rank has all tokens of an expert, or each rank has a part of every expert

    /// <summary>Registers <c>prefix.N.{gate,up,down}_proj</c>.</summary>
    /// <param name="context">What layers are built with.</param>
    /// <param name="prefix">Name in the checkpoint.</param>
    /// <param name="hiddenSize">Width of the residual stream.</param>
    /// <param name="options">The layer's experts.</param>
    /// <param name="shared">This rank's part of the shared expert; null: there is none.</param>
    public RoutedExperts(LayerContext context, string prefix, int hiddenSize, ExpertOptions options, Expert? shared)
    {
        _shared = context.SpreadsExperts || context.Rebalancing is not null ? null : shared;
        Routing = options.Routing;
        var count = options.Routing.Count;
        (_ranks, _device, Prefix) = (context.ExpertRanks, context.Ops.Device, prefix);
        if (context.Rebalancing is { } balancing)
        {
            _loads = new long[count];
            _placement = ExpertBalancer.Choose(_loads, _ranks.WorldSize, (count + balancing.RedundantExperts) / _ranks.WorldSize);
            Shares = new(count, _ranks.Rank, _device);
            balancing.Add(this);
        }

        var own = context.SpreadsExperts ? ShardRange.OfWhole(count, _ranks) : new(0, count);
        var part = context.SpreadsExperts
            ? new(0, options.Width) : ShardRange.Of(options.Width, _ranks, $"The output size of {prefix}.0.gate_proj");
        _ops = context.Experts;
        First = _placement is null ? (int)own.Start : 0;
        _held = [.. _placement?.Held[_ranks.Rank] ?? Enumerable.Range((int)own.Start, (int)own.Length)];
        _order = [.. Enumerable.Range(0, _held.Length)];
        _experts = [.. _held.Select(expert => new Expert(context, $"{prefix}.{expert}", hiddenSize, options.Width, part))];
        _groups = new(count);
        Total = _placement is null ? count : _ranks.WorldSize;
        _usage = context.ExpertUsage.AddLayer(Total, this);
        Shares?.Place(_placement!.TableOf(_ranks.Rank, _held));
        if (_held.Length < count)
        {
            var held = _held.ToHashSet(); // read from the files, whichever experts the rank holds later
            context.Weights.Ignore(name => WeightNames.NumberAfter($"{prefix}.", name) is { } expert && expert < count && !held.Contains(expert));
        }
    }

    /// <summary>Prefix of the experts' names in the checkpoint, before a dot and a number.</summary>
    public string Prefix { get; }

    /// <inheritdoc/>
    public int First { get; }

    /// <inheritdoc/>
    public int Count => _experts.Length;

    /// <inheritdoc/>
    public int Total { get; }

    /// <inheritdoc/>
    public ExpertShares? Shares { get; }

    /// <inheritdoc/>
    public ExpertRouting? Routing { get; }

    /// <inheritdoc/>
    public ExpertMatrices? Shared => _shared?.Matrices;

    /// <inheritdoc cref="IExpertOps.JoinsShared"/>
    public bool JoinsShared(ScalarType type, long tokens) => _ops.JoinsShared(this, type, tokens);

    /// <inheritdoc cref="IExpertOps.Takes"/>
    public bool Takes(ScalarType type) => _ops.Takes(this, type);

    /// <inheritdoc cref="IExpertOps.TrySum"/>
    public Tensor? TrySum(
        Tensor x, ExpertChoices choices, Tensor? shared = null, Tensor? residual = null, QuantisedRows? quantised = null) =>
        _ops.TrySum(x, choices, this, shared, residual, quantised);

    /// <inheritdoc cref="IExpertOps.TryNormalise"/>
    public NormalisedRows? TryNormalise(Tensor x, RmsNorm norm) => _ops.TryNormalise(x, norm.Weight, norm.Epsilon, this);

    /// <summary>
    /// [tokens, hidden] → for each token the weighted sum of its experts on this rank, [tokens, hidden] float32. The host reads the
    /// choices.
    /// </summary>
    public Tensor Forward(Tensor x, ExpertChoices choices)
    {
        _groups.Fill(choices.Ids);
        CountTokens();
        return _placement is null ? _ops.Sum(x, _groups, choices.Weights, this) : SumOfShares(x, choices.Weights);
    }

    /// <inheritdoc/>
    public ExpertMatrices? MatricesOf(int expert) => _experts[expert - First].Matrices;

    /// <inheritdoc/>
    public Tensor Forward(int expert, Tensor x) => _experts[expert - First].Forward(x);

    /// <summary>Starts measuring loads.</summary>
    public void BeginWindow()
    {
        Array.Clear(_loads);
        Shares?.Clear();
    }

    /// <summary>
    /// Places experts by the measured loads; all ranks do so at the same step. A rank copies the experts that it lacks from a rank that has
    /// them.
    /// </summary>
    public void Rebalance()
    {
        Shares!.AddLoads(_loads);
        // All ranks use the first rank's choice, though all measured the same: ranks that disagree would compute a token twice, or never.
        var chosen = ExpertBalancer.Choose(_loads, _ranks.WorldSize, _held.Length);
        var placement = _ranks.Share(chosen, static all => all[0]);
        var wanted = placement.Held[_ranks.Rank];
        var free = new Queue<int>(Enumerable.Range(0, _held.Length).Where(place => !wanted.Contains(_held[place])));
        var missing = wanted.Except(_held).ToArray();
        // Copied while no rank changes its experts; used once all ranks have their copies.
        var copies = _ranks.Share(this, all => Array.ConvertAll(missing, expert => CopyOf(expert, all)));
        foreach (var (expert, copy) in missing.Zip(copies))
        {
            var place = free.Dequeue();
            _experts[place].Take(copy);
            _held[place] = expert;
        }

        Array.Sort(_order, (left, right) => _held[left].CompareTo(_held[right]));
        _placement = placement;
        Shares.Place(placement.TableOf(_ranks.Rank, _held));
        _ops.Forget(this);
    }

    private Expert CopyOf(int expert, IReadOnlyList<RoutedExperts> all)
    {
        var from = all[_placement!.RanksOf(expert)[0]];
        return from._experts[Array.IndexOf(from._held, expert)].Copy(_device);
    }

    // Computes one expert after the other, each with its share of the tokens.
    private Tensor SumOfShares(Tensor x, Tensor weights)
    {
        var sum = zeros([x.size(0), x.size(1)], ScalarType.Float32, x.device);
        using var scope = NewDisposeScope();
        var flat = weights.view(-1);
        foreach (var place in _order)
        {
            var (first, step) = _placement!.ShareOf(_held[place], _ranks.Rank);
            var (tokens, places) = _groups.Of(_held[place], first, step);
            if (tokens.Length == 0)
                continue;
            using var inner = NewDisposeScope();
            var rows = tensor(tokens, device: x.device);
            var result = _experts[place].Forward(x.index_select(0, rows)).to(ScalarType.Float32);
            sum.IndexAddInPlace(rows, result * flat.index_select(0, tensor(places, device: x.device)).unsqueeze(1));
        }

        return sum;
    }

    private void CountTokens()
    {
        if (_placement is null)
        {
            _groups.CountUp(_usage);
            return;
        }

        _groups.CountUp(_loads);
        _placement.AddLoads(_groups.CountOf, _usage);
    }
}
