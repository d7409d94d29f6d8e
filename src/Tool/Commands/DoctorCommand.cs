using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using LocalLlm.Tool.Arguments;
using Spectre.Console;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm doctor</c>: what this machine has of everything the engine can use, and what to do about the rest.</summary>
internal static class DoctorCommand
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
        var json = Options.Flag("--json", "Prints JSON instead of a table.");
        var device = Options.Text("--device", "Fails unless this device can be used: auto (default), cpu or cuda.", "NAME");
        var libTorch = Options.Text("--libtorch", "A folder with libtorch instead of the bundled one; also LOCALLLM_LIBTORCH.", "DIR");
        var command = new Command("doctor", "Checks libtorch and what a GPU needs, and says what to do.") { json, device, libTorch };
        command.SetAction(result =>
        {
            var wanted = result.GetValue(device) ?? "auto";
            if (wanted is not ("auto" or "cpu" or "cuda"))
                throw new UsageException($"--device: '{wanted}' is not known; use auto, cpu or cuda");
            var checks = LlmEngine.CheckEnvironment(result.GetValue(libTorch));
            if (result.GetValue(json))
                terminal.Text.WriteLine(JsonSerializer.Serialize(checks, JsonOptions));
            else
                terminal.Output.Write(TableOf(checks));
            return checks[0].Status == EnvironmentCheckStatus.Ok && (wanted != "cuda" || LlmEngine.CanUseCuda()) ? ExitCodes.Success : ExitCodes.Failure;
        });
        return command;
    }

    private static Table TableOf(IReadOnlyList<EnvironmentCheck> checks)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumn("").AddColumn("").AddColumn("found").AddColumn("what to do");
        foreach (var check in checks)
            table.AddRow(Markup.Escape(check.Name), Markup.Escape(Words(check.Status)), Markup.Escape(check.Found), Markup.Escape(check.Advice));
        return table;
    }

    private static string Words(EnvironmentCheckStatus status) => status switch
    {
        EnvironmentCheckStatus.Ok => "ok",
        EnvironmentCheckStatus.Absent => "absent",
        _ => "unusable",
    };
}
