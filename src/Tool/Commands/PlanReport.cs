using System.Globalization;
using LocalLlm.Planning;

namespace LocalLlm.Tool.Commands;

/// <summary>Prints an estimated plan as plain lines, from which command lines can be copied.</summary>
internal static class PlanReport
{
    /// <summary>Writes the plan to standard output.</summary>
    public static void Write(ModelPlan plan, Terminal terminal)
    {
        var text = terminal.Text;
        text.WriteLine(Text($"Plan of {plan.Model} on {plan.WorldSize} x {string.Join(", ", plan.Cards.Select(card => card.Name))} (estimated; nothing was loaded)"));
        Row("Model", Text($"{plan.Architecture}, {plan.Parameters / 1e9:F2} B parameters{(plan.ActiveParameters == plan.Parameters ? "" : Text($", {plan.ActiveParameters / 1e9:F2} B of them for a token"))}; sizes from {plan.SizesFrom}"));
        Row("Weights", Text($"{ByteSize.Text(plan.WeightBytes)} in all, computed in {plan.Dtype}"));
        Row("KV cache of a token", Text($"{ByteSize.Text(plan.KvBytesPerToken)} over all layers"));
        foreach (var card in plan.Cards)
            Row("Card", Text($"{card.Name}: {ByteSize.Text(card.MemoryBytes)}{(card.BytesPerSecond is { } speed ? Text($", {speed / 1e9:N0} GB/s") : "")}; {card.Types}"));
        Row("Spread", Text($"tensor parallel {plan.TensorParallel} x pipeline parallel {plan.PipelineParallel}{(plan.DataParallel == 1 ? "" : Text($" x data parallel {plan.DataParallel}"))} over {plan.Nodes} node{(plan.Nodes == 1 ? "" : "s")} of {plan.DevicesPerNode}"));
        text.WriteLine();
        WriteRanks(plan, text);
        text.WriteLine();
        Row("Verdict", plan.Verdict switch { PlanVerdict.Fits => "fits", PlanVerdict.Tight => "fits, but tightly: only with the further options of the command below", _ => "does not fit" });
        if (plan.Prediction is not null || plan.CommandLine is not null)
        {
            Row("KV cache", Text($"{plan.KvCacheTokens:N0} tokens{(plan.DataParallel == 1 ? "" : Text($" in each of {plan.DataParallel} groups"))}: {plan.SequencesOfMaxModelLen:F2} sequences of {plan.MaxModelLen:N0} tokens, {plan.SequencesOf4096:F2} of 4,096"));
            if (plan.MaxModelLen < plan.ModelLength)
                Row("max_model_len", Text($"{plan.MaxModelLen:N0} of the model's {plan.ModelLength:N0}"));
        }

        if (plan.Prediction is { } step)
        {
            Row("Predicted", Text($"{step.TokensPerSecond:F1} tokens/s of one sequence, if only {(step.AllReduces + step.Exchanges + step.Passes > 0 ? "memory and other ranks take" : "memory takes")} time (predicted, not measured)"));
            Row("", step.Arithmetic);
        }

        if (plan.Smallest is { } smallest)
            Row("Smallest that fits", Text($"{smallest.Devices} x {string.Join(", ", plan.Cards.Select(card => card.Name))}{(smallest.IsTight ? " (tight)" : "")}: {smallest.CommandLine}"));
        if (plan.CommandLine is not null)
            Row("Command", plan.CommandLine);
        foreach (var note in plan.Notes)
            Row("Note", note);

        void Row(string what, string value) => text.WriteLine($"  {what,-20}{value}");
    }

    private static void WriteRanks(ModelPlan plan, TextWriter text)
    {
        string[] heads = ["rank", "node", "stage", "layers", "heads", "KV heads", "weights", "activations", "KV of a token", "free for KV", "tokens"];
        List<string[]> rows = [heads, .. plan.Ranks.Select(RowOf)];
        var widths = heads.Select((_, column) => rows.Max(row => row[column].Length)).ToArray();
        foreach (var row in rows)
            text.WriteLine("  " + string.Join("  ", row.Select((cell, column) => cell.PadLeft(widths[column]))));
    }

    private static string[] RowOf(RankPlan rank) =>
    [
        Text($"{rank.Rank}"),
        Text($"{rank.Node}"),
        Text($"{rank.Stage}"),
        Text($"{rank.FirstLayer}-{rank.FirstLayer + rank.NumLayers - 1}"),
        Text($"{rank.FirstHead}-{rank.FirstHead + rank.NumHeads - 1}"),
        rank.NumKvHeads == 0 ? "latent" : Text($"{rank.FirstKvHead}-{rank.FirstKvHead + rank.NumKvHeads - 1}"),
        ByteSize.Text(rank.WeightBytes),
        ByteSize.Text(rank.ActivationBytes + rank.GraphBytes),
        ByteSize.Text(rank.KvBytesPerToken),
        rank.FreeBytes < 0 ? "-" + ByteSize.Text(-rank.FreeBytes) : ByteSize.Text(rank.FreeBytes),
        Text($"{rank.KvCacheTokens:N0}"),
    ];

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
