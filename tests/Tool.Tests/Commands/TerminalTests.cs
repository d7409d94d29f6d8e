using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

/// <summary>One prompt, and chats, as a person sees them.</summary>
public class TerminalTests
{
    private const string Question = "What is 12 + 30?";

    [Fact]
    public async Task A_prompt_streams_its_continuation_and_ends_with_the_speed()
    {
        foreach (string[] form in new string[][] { [TestPaths.TinyR1, "Once upon"], ["--model", TestPaths.TinyR1, "Once upon"], [TestPaths.TinyR1, "--prompt=Once upon"] })
        {
            var run = await Cli.RunAsync(["generate", .. form, "--temperature", "0", "--max-tokens", "3", "--dtype", "float32"]);
            Assert.Equal((0, " a time there\n"), (run.ExitCode, run.Output));
            Assert.Matches(@"^3 tokens in .* tokens/s.*\n$", run.Error);
        }
    }

    [Fact]
    public async Task A_prompt_may_look_like_an_option_behind_two_hyphens()
    {
        var run = await Cli.RunAsync("generate", "--model", TestPaths.TinyR1, "--max-tokens", "1", "--", "--once");
        Assert.Equal(0, run.ExitCode);
    }

    [Fact]
    public async Task What_the_model_thinks_is_dimmed_where_colours_are_shown()
    {
        var plain = await Cli.RunAsync("generate", TestPaths.TinyR1, "--message", Question, "--temperature", "0", "--dtype", "float32");
        var coloured = await Cli.RunAsync("", interactive: true, "generate", TestPaths.TinyR1, "--message", Question, "--temperature", "0", "--dtype", "float32");
        Assert.EndsWith("</think>\n\n12 + 30 = 42\n", plain.Output, StringComparison.Ordinal);
        Assert.Equal("\e[2m" + plain.Output.Replace("</think>", "</think>\e[0m", StringComparison.Ordinal), coloured.Output);
    }

    [Fact]
    public async Task A_refused_prompt_is_one_error()
    {
        var run = await Cli.RunAsync("generate", TestPaths.TinyR1, "--prompt", "x", "--top-p", "7");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("error: top_p: given 7", run.Error, StringComparison.Ordinal);
        var tooLong = await Cli.RunAsync("generate", TestPaths.TinyR1, "--prompt", string.Concat(Enumerable.Repeat("word ", 100)), "--max-model-len", "32");
        Assert.Equal(1, tooLong.ExitCode);
        Assert.Single(tooLong.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => line.StartsWith("error: ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_chat_reads_lines_and_writes_answers_only_when_redirected()
    {
        var run = await Cli.WithInputAsync($"{Question}\n\n/reset\n{Question}\n/exit\nnever\n", "chat", TestPaths.TinyR1, "--temperature", "0", "--dtype", "float32");
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        var answers = run.Output.Split("12 + 30 = 42\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, answers.Length);
        Assert.Equal(answers[0], answers[1]);
        Assert.DoesNotContain('>', run.Output.Replace("</think>", "", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_chat_remembers_what_was_said_without_the_thinking()
    {
        // This template writes the whole chat as one line, which the response continues.
        const string template = "{% for m in messages %}{{ m.role ~ ':' ~ m.content ~ ';' }}{% endfor %}";
        string[] options = ["chat", TestPaths.TinyR1, "--chat-template", template, "--max-tokens", "2", "--temperature", "0", "--system-prompt", "S"];
        var run = await Cli.RunAsync("one\ntwo\n/system T\nthree\n", interactive: true, options);
        Assert.Equal(0, run.ExitCode);
        // Tokens of "system:S;user:one;", then of the chat so far with its response, then of "system:T;user:three;".
        int[] prompts = [.. run.Error.Split('\n').Where(line => line.Contains("prompt of", StringComparison.Ordinal)).Select(line => int.Parse(line.Split("prompt of ")[1].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(3, prompts.Length);
        Assert.True(prompts[1] > 2 * prompts[0] - 4);
        Assert.True(prompts[2] < prompts[1]);
    }

    [Fact]
    public async Task A_turn_that_fails_is_taken_back_and_the_chat_goes_on()
    {
        var run = await Cli.WithInputAsync(string.Concat(Enumerable.Repeat("word ", 3000)) + $"\n/nonsense\n{Question}\n", "chat", TestPaths.TinyR1, "--temperature", "0", "--dtype", "float32");
        Assert.Equal(1, run.ExitCode);
        Assert.EndsWith("12 + 30 = 42\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("error: messages: given ", run.Error, StringComparison.Ordinal);
        Assert.Contains("error: /nonsense is not a command", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_interactive_chat_prompts_and_shows_the_speed()
    {
        var run = await Cli.RunAsync("Hello\n", interactive: true, "chat", TestPaths.TinyR1, "--max-tokens", "4", "--temperature", "0");
        Assert.StartsWith("\n> \e[2m", run.Output, StringComparison.Ordinal);
        Assert.EndsWith("\n> ", run.Output, StringComparison.Ordinal);
        Assert.Contains("tokens/s", run.Error, StringComparison.Ordinal);
        Assert.Contains("/exit", run.Error, StringComparison.Ordinal);
    }
}
