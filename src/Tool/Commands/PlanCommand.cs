using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using LocalLlm.Tool.Arguments;
using Spectre.Console;

namespace LocalLlm.Tool.Commands;

/// <summary>
/// <c>localllm plan</c>: where the memory would go, without loading any weights. It plans for this machine's device from the
/// model's folder. For several ranks, or devices or models that are not on this machine, it plans from config.json.
/// </summary>
internal static class PlanCommand
{
    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
        WriteIndented = true,
    };

    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var arguments = new EngineArguments();
        var devices = new PlanArguments();
        var model = Options.Model();
        var json = Options.Flag("--json", "Prints JSON instead of a table.");
        var command = new Command("plan", "Prints where the memory of a model would go, here or on other cards, without loading its weights.") { model, json };
        devices.AddTo(command);
        arguments.AddTo(command);
        VllmOptions.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            var options = arguments.Build(result, result.GetValue(model)) with { HubVariables = terminal.Variable };
            if (devices.AreGiven(result) || ModelPlanner.NeedsEstimate(options))
                return await EstimateAsync(devices.Build(result, options, arguments.NamesSizes(result)), result.GetValue(json), terminal, cancellationToken);
            options = await ModelDownload.ResolveAsync(options, terminal, cancellationToken);
            using var notes = new CheckpointNotes();
            var plan = LlmEngine.PlanMemory(options with { LoggerFactory = notes });
            await notes.WriteAsync(terminal.ErrorText);
            if (result.GetValue(json))
                await terminal.Text.WriteLineAsync(JsonSerializer.Serialize(plan, JsonOptions));
            else
                terminal.Output.Write(TableOf(plan, LlmEngine.NameOf(options)));
            return ExitCodes.Success;
        });
        return command;
    }

    private static async Task<int> EstimateAsync(Planning.ModelPlanRequest request, bool json, Terminal terminal, CancellationToken cancellationToken)
    {
        var plan = await ModelPlanner.PlanAsync(request, cancellationToken);
        if (json)
            await terminal.Text.WriteLineAsync(JsonSerializer.Serialize(plan, JsonOptions));
        else if (plan.Verdict != Planning.PlanVerdict.Invalid)
            PlanReport.Write(plan, terminal);
        plan.ThrowIfUnfit();
        return ExitCodes.Success;
    }

    private static Table TableOf(MemoryPlan plan, string name)
    {
        var table = new Table().Border(TableBorder.Rounded).Title(Markup.Escape($"Memory plan of {name}"))
            .AddColumn("").AddColumn(new TableColumn("").RightAligned()).AddColumn("").HideHeaders();
        Row("Available", ByteSize.Text(plan.AvailableBytes), "of the device: what a CPU has free now, all of a GPU");
        Row("Budget", ByteSize.Text(plan.BudgetBytes), "the part that may be used (--gpu-memory-utilization)");
        Row("Weights", ByteSize.Text(plan.WeightBytes), "");
        Row("Activations", ByteSize.Text(plan.ActivationBytes), "of the largest step (--max-num-batched-tokens); on a GPU with what others take");
        if (plan.GraphBytes > 0)
            Row("CUDA graphs", ByteSize.Text(plan.GraphBytes), "recorded decode steps, an allowance before they are recorded");
        Row("KV cache", ByteSize.Text(plan.KvCacheBytes), "");
        Row("KV blocks", Count(plan.NumBlocks), $"of {plan.BlockSize} tokens, {ByteSize.Text(plan.BytesPerBlock)} each");
        Row("KV cache tokens", Count(plan.KvCacheTokens), "");
        Row("max_model_len", Count(plan.MaxModelLen), plan.Note ?? "");
        Row("Maximum concurrency", Times(plan.MaxConcurrency), "sequences of max_model_len at once");
        return table;

        void Row(string what, string value, string remark) =>
            table.AddRow(Markup.Escape(what), Markup.Escape(value), Markup.Escape(remark));
    }

    private static string Count(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Times(double value) => value.ToString("F2", CultureInfo.InvariantCulture) + "x";
}
