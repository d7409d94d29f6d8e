using System.Globalization;
using System.Text;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>The texts of plans: sizes, command lines, and errors that end with what would fit.</summary>
internal static class PlanTexts
{
    private static readonly string[] s_numbers = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"];

    /// <summary>Bytes in GiB.</summary>
    public static string Size(double bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1L << 30):F2} GiB");

    /// <summary>The faults, then one indented line for each plan that fits.</summary>
    public static string Refusal(IReadOnlyList<string> faults, IReadOnlyList<PlanChoice> choices, IReadOnlyList<GpuCard> cards)
    {
        var text = new StringBuilder(string.Join("; ", faults)).Append('.');
        if (choices.Count == 0)
            text.Append(cards[0].IsCpu ? " Free memory, raise gpu_memory_utilization, or choose a smaller model." : " No number of such devices fits the model with these options.");
        foreach (var choice in choices)
            text.Append("\n  ").Append(Line(choice, cards));
        return text.ToString();
    }

    /// <summary>The names of devices.</summary>
    public static string CardNames(IReadOnlyList<GpuCard> cards) => string.Join(", ", cards.Select(card => card.Name));

    /// <summary>The command line that serves a model in this way; only the rank differs between hosts.</summary>
    public static string CommandLine(string model, ParallelPlan plan, IEnumerable<string> further)
    {
        var nodes = plan.Nodes;
        var words = new List<string> { "localllm", "serve", Quoted(model) };
        if (plan.TensorParallel > 1)
            words.AddRange(["--tensor-parallel-size", Number(plan.TensorParallel)]);
        if (plan.PipelineParallel > 1)
            words.AddRange(["--pipeline-parallel-size", Number(plan.PipelineParallel)]);
        if (plan.DataParallel > 1)
            words.AddRange(["--data-parallel-size", Number(plan.DataParallel)]);
        if (nodes > 1)
            words.AddRange(["--nnodes", Number(nodes), "--node-rank", nodes == 2 ? "<0|1>" : $"<0 to {nodes - 1}>", "--master-addr", "<node 0>"]);
        words.AddRange(further);
        return string.Join(' ', words);
    }

    // The devices, the command line, and the memory on a device.
    private static string Line(PlanChoice choice, IReadOnlyList<GpuCard> cards)
    {
        var isSized = cards[0].MemoryBytes != GpuCard.UnlimitedBytes;
        var memory = isSized && cards.Count == 1 ? $" of {Size(cards[0].MemoryBytes)}" : "";
        var cache = isSized ? string.Create(CultureInfo.InvariantCulture, $"; {choice.KvCacheTokens:N0} tokens of KV cache{(choice.IsTight ? ", tight" : "")}") : "";
        return $"{Nodes(choice.Nodes)}, {choice.Devices} x {CardNames(cards)}: {choice.CommandLine}   (weights of at most {Size(choice.MaxWeightBytes)} a device{memory}{cache})";
    }

    private static string Nodes(int nodes) => nodes == 1 ? "one node" : $"{(nodes < s_numbers.Length ? s_numbers[nodes] : Number(nodes))} nodes";

    private static string Quoted(string text) => text.Any(letter => char.IsWhiteSpace(letter) || letter is '\'' or '"' or '$') ? "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'" : text;

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
