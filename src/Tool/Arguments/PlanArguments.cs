using System.CommandLine;
using LocalLlm.Planning;

namespace LocalLlm.Tool.Arguments;

/// <summary>The devices of a plan, which this machine need not have.</summary>
internal sealed class PlanArguments
{
    private readonly Option<string?> _gpu = Options.Text(
        "--gpu",
        "Plans for this card, which need not be there, such as A100-80G, H100, T4 or RTX4090; with commas: one for each pipeline stage.",
        "NAME");
    private readonly Option<string?> _gpuMemory = Options.Text(
        "--gpu-memory",
        "Plans for cards with this memory, such as 80GiB, 24GB or 16384MiB; with --gpu: instead of the card's own.",
        "SIZE");
    private readonly Option<int?> _gpusPerNode = Options.Count(
        "--gpus-per-node",
        "Cards of each node; default: as many as the plan needs. Without -tp and -pp the plan is chosen: as few of them as fit the model, up to 8 a node.");
    private readonly Option<int?> _nodes = Options.Count("--nodes", "Nodes; default 1.", "--nnodes", "-n");

    /// <summary>Adds every option to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[_gpu, _gpuMemory, _gpusPerNode, _nodes])
            command.Add(option);
    }

    /// <summary>Whether devices are described; those of this machine are then ignored.</summary>
    public bool AreGiven(ParseResult result) =>
        result.GetValue(_gpu) is not null || result.GetValue(_gpuMemory) is not null || result.GetValue(_gpusPerNode) is not null || result.GetValue(_nodes) is not null;

    /// <summary>Builds the request for the plan.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="options">The model, and how it would be loaded.</param>
    /// <param name="namesSizes">Whether the sizes by which the model is split were given.</param>
    /// <exception cref="UsageException">A memory size is invalid.</exception>
    /// <exception cref="EngineException">The card is unknown.</exception>
    public ModelPlanRequest Build(ParseResult result, EngineOptions options, bool namesSizes) => new()
    {
        Options = options with { Nodes = result.GetValue(_nodes) ?? options.Nodes },
        Cards = Cards(Split(result.GetValue(_gpu)), Split(result.GetValue(_gpuMemory))),
        DevicesPerNode = result.GetValue(_gpusPerNode),
        ChoosesPlan = !namesSizes && (result.GetValue(_gpusPerNode) is not null || result.GetValue(_nodes) is not null),
    };

    private static GpuCard[] Cards(string[] names, string[] sizes)
    {
        if (names.Length > 1 && sizes.Length > 1 && names.Length != sizes.Length)
            throw new UsageException($"--gpu names {names.Length} cards and --gpu-memory {sizes.Length} sizes; give one size, or one for each card");
        var cards = names.Select(KnownCards.Find).ToArray();
        if (sizes.Length == 0)
            return cards;
        var bytes = sizes.Select(Bytes).ToArray();
        if (cards.Length == 0)
            return [.. bytes.Select((size, index) => new GpuCard($"{sizes[index]} card", size))];
        return [.. Enumerable.Range(0, Math.Max(cards.Length, bytes.Length))
            .Select(index => cards[Math.Min(index, cards.Length - 1)] with { MemoryBytes = bytes[Math.Min(index, bytes.Length - 1)] })];
    }

    private static long Bytes(string size) => BytesOf(size.Replace(" ", "", StringComparison.Ordinal)) is >= 1 << 20 and var bytes
        ? bytes
        : throw new UsageException($"--gpu-memory: '{size}' is no size of a card's memory; give at least 1 MiB with a unit: 80GiB (1,024-based), 80GB (1,000-based) or 81920MiB");

    private static long? BytesOf(string size) => Options.Gibibytes(size) ?? (HumanReadableInt.TryParse(size, out var bytes) ? bytes : null);

    private static string[] Split(string? list) => list?.Split(',', StringSplitOptions.TrimEntries) ?? [];
}
