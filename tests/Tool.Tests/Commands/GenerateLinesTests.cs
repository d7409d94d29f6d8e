using System.Text;
using System.Text.Json;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public class GenerateLinesTests
{
    [Theory]
    [InlineData("\"prompt\":\"a\",\"prompt_embeds\":\"x\"", "prompt_embeds")]
    [InlineData("\"prompt\":\"a\",\"lora_request\":{\"x\":1}", "lora_request")]
    [InlineData("\"prompt\":\"a\",\"multi_modal_data\":{\"image\":\"x\"}", "multi_modal_data")]
    [InlineData("\"prompt\":\"a\",\"suffix\":\"z\"", "suffix")]
    [InlineData("\"prompt\":\"a\",\"echo\":true", "echo")]
    [InlineData("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tool_choice\":\"required\"", "tool_choice")]
    [InlineData("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"chat_template\":\"x\"", "chat_template")]
    [InlineData("\"messages\":[{\"role\":\"user\",\"role\":\"system\",\"content\":\"a\"}]", "role")]
    [InlineData("\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tools\":[{\"a\":1,\"a\":2}]", "'a' is given twice")]
    public async Task What_cannot_be_honoured_and_what_is_said_twice_is_refused_by_name(string members, string named)
    {
        var run = await Cli.WithInputAsync($"{{{members},\"max_tokens\":1}}\n", "generate", "--model", TestPaths.TinyR1, "--input", "-");
        Assert.Contains(named, JsonTest.ParseAll(run.Lines)[0].ErrorMessage(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_line_has_its_result_in_its_place_whatever_the_others_hold()
    {
        byte[] input =
        [
            .. "\uFEFF{\"prompt\":\"Once upon\",\"max_tokens\":3,\"temperature\":0}\r\n\n"u8, .. "garbage\n"u8, .. "{\"prompt\":\""u8, 0xFF, .. "\"}\n"u8,
            .. Encoding.UTF8.GetBytes(new string('[', 5000) + "\n"), .. "[1]\n"u8, .. "{\"prompt\":\"\\ud800\"}\n"u8,
            .. "{\"prompt\":\"x\",\"temperature\":9}\n"u8, .. "{\"prompt_token_ids\":[1,99999]}\n"u8, .. "{\"prompt_token_ids\":[]}\n"u8,
            .. "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"temperature\":0}\n"u8, .. "{\"messages\":[1]}\n"u8,
            .. "{\"prompt_token_ids\":[782,798],\"max_tokens\":3,\"temperature\":0,\"request_id\":\"mine\"}\n\n \n"u8,
        ];
        var run = await Cli.WithInputAsync(input, "generate", "--model", TestPaths.TinyR1, "--dtype", "float32", "--input", "-");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("13 requests, 10 failed", run.Error, StringComparison.Ordinal);
        var lines = JsonTest.ParseAll(run.Lines);
        Assert.Equal(13, lines.Length);
        Assert.Equal([782, 798], lines[0].Ids("prompt_token_ids"));
        string[] errors =
        [
            "line 2 is blank", "line 3 is not valid JSON", "line 4 is not valid UTF-8", "maximum configured depth", "line 6 is a JSON array",
            "half of a surrogate pair", "temperature", "99999", "0 tokens",
        ];
        for (var i = 0; i < errors.Length; i++)
            Assert.Contains(errors[i], lines[i + 1].ErrorMessage(), StringComparison.Ordinal);
        Assert.Equal("stop", lines[10].Text("finish_reason"));
        Assert.Contains("messages", lines[11].ErrorMessage(), StringComparison.Ordinal);
        Assert.Equal("mine", lines[12].Text("request_id"));
        Assert.Equal(lines[0].Ids("token_ids"), lines[12].Ids("token_ids"));
    }

    [Fact]
    public async Task A_result_has_vllms_fields()
    {
        var run = await Cli.WithInputAsync(
            """
            {"prompt": "Once upon a", "max_tokens": 4, "temperature": 0, "logprobs": 2, "prompt_logprobs": 0}
            {"prompt": "Once upon a", "max_tokens": 12, "temperature": 2, "seed": 3, "n": 3, "logprobs": 0}
            {"prompt": "Once upon a", "max_tokens": 40, "temperature": 0, "stop": ["time"]}
            {"prompt": "Once upon a", "max_tokens": 40, "temperature": 0, "stop_token_ids": [711]}
            {"prompt": "Once upon a", "max_tokens": 4, "temperature": 0, "detokenize": false}
            """,
            "generate", TestPaths.TinyR1, "--dtype", "float32", "--input", "-");
        var lines = JsonTest.ParseAll(run.Lines);
        Assert.Equal(["text", "token_ids", "finish_reason", "logprobs", "prompt_token_ids", "prompt_logprobs", "usage"], lines[0].EnumerateObject().Select(member => member.Name));
        Assert.Equal("length", lines[0].Text("finish_reason"));
        CheckLogprobs(lines[0].GetProperty("logprobs"), lines[0].Ids("token_ids"), least: 2, most: 3);
        Assert.Equal(JsonValueKind.Null, lines[0].GetProperty("prompt_logprobs")[0].ValueKind);
        CheckLogprobs(lines[0].GetProperty("prompt_logprobs"), lines[0].Ids("prompt_token_ids"), least: 1, most: 1);
        Assert.Equal("""{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}""", lines[0].GetProperty("usage").GetRawText());

        var outputs = lines[1].GetProperty("outputs").EnumerateArray().ToArray();
        Assert.Equal([0, 1, 2], outputs.Select(output => output.GetProperty("index").GetInt32()));
        Assert.Equal(lines[1].Ids("token_ids"), outputs[0].Ids("token_ids"));
        Assert.NotEqual(outputs[0].Ids("token_ids"), outputs[1].Ids("token_ids"));
        Assert.All(outputs, output => CheckLogprobs(output.GetProperty("logprobs"), output.Ids("token_ids"), least: 1, most: 1));
        Assert.Equal(outputs.Sum(output => output.Ids("token_ids").Length), lines[1].GetProperty("usage").GetProperty("completion_tokens").GetInt32());

        Assert.Equal(("stop", "time", " "), (lines[2].Text("finish_reason"), lines[2].Text("stop_reason"), lines[2].Text("text")));
        Assert.Equal(("stop", 711), (lines[3].Text("finish_reason"), lines[3].GetProperty("stop_reason").GetInt32()));
        Assert.Equal(711, lines[3].Ids("token_ids")[^1]);
        Assert.Equal("", lines[4].Text("text"));
        Assert.Equal(lines[0].Ids("token_ids"), lines[4].Ids("token_ids"));
    }

    [Fact]
    public async Task Minus_infinity_is_written_as_vllm_does()
    {
        var run = await Cli.WithInputAsync(
            """{"prompt": "Once upon a", "max_tokens": 2, "temperature": 1, "top_k": 1, "logprobs": 3}""",
            "generate", TestPaths.TinyR1, "--logprobs-mode", "processed_logprobs", "--input", "-");
        var first = JsonTest.Parse(run.Lines[0]).GetProperty("logprobs")[0].EnumerateObject().Select(candidate => candidate.Value.GetProperty("logprob").GetDouble()).ToArray();
        Assert.Equal(0, first[0], 6);
        Assert.All(first.Skip(1), logprob => Assert.Equal(-9999, logprob));
    }

    [Fact]
    public async Task A_folder_without_tokenizer_serves_ids()
    {
        var folder = Directory.CreateTempSubdirectory("localllm-ids-").FullName;
        try
        {
            foreach (var file in new[] { "config.json", "model.safetensors" })
                File.Copy(Path.Combine(TestPaths.TinyR1, file), Path.Combine(folder, file));
            const string input = """
                {"prompt_token_ids": [782, 798], "max_tokens": 3, "temperature": 0, "logprobs": 0}
                {"prompt": "x"}
                {"messages": [{"role": "user", "content": "x"}]}
                """;
            var run = await Cli.WithInputAsync(input, "generate", "--model", folder, "--skip-tokenizer-init", "--input", "-");
            var lines = JsonTest.ParseAll(run.Lines);
            Assert.Equal(("", 3), (lines[0].Text("text"), lines[0].Ids("token_ids").Length));
            Assert.Contains("prompt_token_ids", lines[1].ErrorMessage(), StringComparison.Ordinal);
            Assert.Contains("prompt_token_ids", lines[2].ErrorMessage(), StringComparison.Ordinal);

            var refused = await Cli.WithInputAsync(input, "generate", "--model", folder, "--input", "-");
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains("tokenizer.json", refused.Error, StringComparison.Ordinal);
            Assert.Empty(refused.Output);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_chat_template_can_be_given()
    {
        var run = await Cli.WithInputAsync(
            """{"messages": [{"role": "user", "content": "Once upon"}], "max_tokens": 3, "temperature": 0}""",
            "generate", TestPaths.TinyR1, "--chat-template", "{{ messages[0].content }}", "--input", "-");
        Assert.Equal([782, 798], JsonTest.Parse(run.Lines[0]).Ids("prompt_token_ids"));
    }

    [Fact]
    public async Task An_output_file_is_overwritten_and_only_by_results()
    {
        var folder = Directory.CreateTempSubdirectory("localllm-files-").FullName;
        try
        {
            var (input, output) = (Path.Combine(folder, "in.jsonl"), Path.Combine(folder, "out.jsonl"));
            await File.WriteAllTextAsync(input, """{"prompt": "Once upon", "max_tokens": 1}""", TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(output, new string('x', 100_000), TestContext.Current.CancellationToken);
            Assert.Equal(1, (await Cli.RunAsync("generate", folder, "--input", input, "--output", output)).ExitCode);
            Assert.Equal(100_000, new FileInfo(output).Length);

            Assert.Equal(0, (await Cli.RunAsync("generate", TestPaths.TinyR1, "--input", input, "--output", output)).ExitCode);
            Assert.Single((await File.ReadAllLinesAsync(output, TestContext.Current.CancellationToken)), line => JsonTest.Parse(line).TryGetProperty("text", out _));
            Assert.Equal(2, (await Cli.RunAsync("generate", TestPaths.TinyR1, "--input", input, "--output", input)).ExitCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("--model", "/no/such/folder", "--input", "-", "'/no/such/folder' is not a folder")]
    [InlineData("--input", "/no/such/file", "--model", ".", "--input '/no/such/file' cannot be opened")]
    [InlineData("--output", "/no/such/folder/file", "--input", "-", "--output '/no/such/folder/file' cannot be opened")]
    public async Task What_cannot_be_opened_is_one_clear_error(string name, string value, string other, string otherValue, string says)
    {
        string[] model = name == "--model" || other == "--model" ? [] : ["--model", TestPaths.TinyR1];
        var run = await Cli.RunAsync(["generate", name, value, other, otherValue, .. model]);
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("error: ", run.Error, StringComparison.Ordinal);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
        Assert.Equal(1, run.Error.AsSpan().Count('\n'));
    }

    private static void CheckLogprobs(JsonElement positions, int[] ids, int least, int most)
    {
        Assert.Equal(ids.Length, positions.GetArrayLength());
        foreach (var (position, id) in positions.EnumerateArray().Zip(ids).Where(pair => pair.First.ValueKind != JsonValueKind.Null))
        {
            Assert.InRange(position.EnumerateObject().Count(), least, most);
            var chosen = position.GetProperty(id.ToString(System.Globalization.CultureInfo.InvariantCulture));
            Assert.Equal(["logprob", "rank", "decoded_token"], chosen.EnumerateObject().Select(member => member.Name));
            Assert.True(chosen.GetProperty("logprob").GetDouble() <= 0);
            Assert.True(chosen.GetProperty("rank").GetInt32() >= 1);
        }
    }
}
