using System.CommandLine;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm generate</c>: a file of requests, or one prompt whose response streams to the terminal.</summary>
internal static class GenerateCommand
{
    // vLLM's default of 16 is too short to watch.
    private const int DefaultMaxTokens = 256;

    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var engineArguments = new EngineArguments();
        var sampling = new SamplingArguments();
        var files = new LineFileArguments(
            "One request a line: prompt, prompt_token_ids or messages, and any sampling field of vLLM's",
            "One result a line (text, token_ids, prompt_token_ids, finish_reason, logprobs, usage, or error)");
        var first = Options.Positional("MODEL", "The model's folder; with --model, the prompt.");
        var second = Options.Positional("PROMPT", "The same as --prompt.");
        var prompt = Options.Text("--prompt", "A text that is continued as it is; the answer streams to the terminal.", "TEXT", "-p");
        var message = Options.Text(
            "--message",
            "A message of a user, put through the chat template; the answer streams to the terminal.",
            "TEXT",
            "-m");
        var command = new Command("generate", "Generates for a file of requests, or for one prompt.") { first, second, prompt, message };
        files.AddTo(command);
        sampling.AddTo(command);
        engineArguments.AddTo(command);
        VllmOptions.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            var (model, text) = (result.GetValue(first), result.GetValue(second));
            if (text is null && engineArguments.NamesModel(result))
                (model, text) = (null, model);
            var prompts = new[] { text, result.GetValue(prompt), result.GetValue(message) }.Count(given => given is not null);
            var options = engineArguments.Build(result, model);
            if (files.AreGiven(result))
            {
                if (prompts > 0)
                    throw new UsageException("--input and a prompt are both given; give one of them");
                if (sampling.Given(result) is { Count: > 0 } given)
                    throw new UsageException($"{string.Join(", ", given)}: with --input, each line has its own sampling fields; put them there");
                using var opened = files.Open(result, terminal);
                return await GenerateLines.RunAsync(options, opened, terminal, cancellationToken);
            }

            if (prompts == 0)
                throw new UsageException("nothing to generate for; add --prompt TEXT, --message TEXT or --input FILE.jsonl");
            if (prompts > 1)
                throw new UsageException("the prompt is given more than once; give one of PROMPT, --prompt and --message");
            if (options.SkipTokenizerInit)
                throw new UsageException("--skip-tokenizer-init takes token ids only; give prompt_token_ids with --input FILE.jsonl");
            return await GenerateTerminal.RunAsync(options, RequestOf(), terminal, cancellationToken);

            GenerationRequest RequestOf() => result.GetValue(message) is { } content
                ? GenerationRequest.FromChat([new("user", content)], sampling.Build(result, defaultMaxTokens: null))
                : GenerationRequest.FromText(text ?? result.GetValue(prompt)!, sampling.Build(result, DefaultMaxTokens));
        });
        return command;
    }
}
