using System.CommandLine;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm render</c>: renders a chat template with the variables of every line.</summary>
internal static class RenderCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var template = Options.Text(
            "--template",
            "The template: a .jinja file, or a JSON file with chat_template such as tokenizer_config.json.",
            "FILE");
        var model = Options.Text(
            "--model",
            "A folder, or org/name of a hub, with a chat template; its bos_token, eos_token and so on are used where a line gives none.",
            "DIR|ORG/NAME");
        var hub = new HubArguments();
        var now = new Option<TimeProvider?>("--now")
        {
            Description = "The local time of strftime_now, such as '2025-07-10 12:00' or 2025-07-10T12:00:00; default: now.",
            HelpName = "TIME",
            CustomParser = result =>
            {
                if (FixedClock.TryParse(result.Tokens[0].Value, out var clock))
                    return clock;
                result.AddError($"--now: '{result.Tokens[0].Value}' is no time in ISO 8601; write 2025-07-10 12:00 or 2025-07-10T12:00:00");
                return null;
            },
        };
        var files = new LineFileArguments(
            "The template's variables, one object a line (messages, tools, add_generation_prompt, bos_token, ...)",
            "One object a line with text or error");
        var command = new Command("render", "Renders a chat template.") { template, model, now };
        files.AddTo(command);
        foreach (var option in hub.All)
            command.Add(option);
        command.SetAction(async (result, cancellationToken) =>
        {
            var (file, folder) = (result.GetValue(template), result.GetValue(model));
            if (file is null && folder is null)
                throw new UsageException("no template is given; add --template FILE or --model DIR");
            files.RequireInput(result);
            if (folder is not null)
                folder = await ModelDownload.TokenizerAsync(folder, hub.Build(result, terminal), terminal, cancellationToken);
            using var opened = files.Open(result, terminal);
            var lines = new RenderLines(file, folder, result.GetValue(now) ?? terminal.Time);
            return await lines.RunAsync(opened, terminal, cancellationToken);
        });
        return command;
    }
}
