using System.Text.Json;
using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public class TokenizeTests
{
    private static string[] Tokenize(params string[] more) => ["tokenize", "--model", TestPaths.TinyR1, "--input", "-", .. more];

    [Fact]
    public async Task A_bad_line_is_an_error_in_its_place()
    {
        var run = await Cli.WithInputAsync(
            """
            {"text": "Once upon"}
            {"text": 5}

            {"id": 7, "text": ""}
            nothing
            {"token_ids": [782, 798]}
            {"token_ids": [-1]}
            {"token_ids": [4088]}
            {"token_ids": ["1"]}
            {"text": "a", "token_ids": [1]}
            {}
            {"text": "Once", "add_special_tokens": "yes"}
            {"text": "Once upon"}

            """,
            Tokenize());
        Assert.Equal((0, "9 of 13 lines failed\n"), (run.ExitCode, run.Error));
        var lines = JsonTest.ParseAll(run.Lines);
        Assert.Equal(13, lines.Length);
        Assert.Equal([782, 798], lines[0].Ids("token_ids"));
        Assert.Empty(lines[3].Ids("token_ids"));
        Assert.Equal("Once upon", lines[5].Text("text"));
        Assert.Equal([782, 798], lines[12].Ids("token_ids"));
        foreach (var bad in new[] { 1, 2, 4, 6, 7, 8, 9, 10, 11 })
            Assert.NotEmpty(lines[bad].ErrorMessage());
    }

    [Fact]
    public async Task Both_ways_to_detokenize_give_the_text_back()
    {
        const string text = "Once upon <think> a time 你好😀\u2028<｜end▁of▁sentence｜>";
        var ids = (await Cli.WithInputAsync(JsonSerializer.Serialize(new { text }), Tokenize("--no-special-tokens"))).Output;
        Assert.Equal(text, JsonTest.Parse((await Cli.WithInputAsync(ids, Tokenize("--detokenize"))).Lines[0]).Text("text"));
        Assert.Equal(text, JsonTest.Parse((await Cli.WithInputAsync(ids, "detokenize", TestPaths.TinyR1, "--input", "-")).Lines[0]).Text("text"));
        var skipped = await Cli.WithInputAsync(ids, "detokenize", TestPaths.TinyR1, "--skip-special-tokens", "--input", "-");
        Assert.Equal(text.Replace("<｜end▁of▁sentence｜>", "", StringComparison.Ordinal), JsonTest.Parse(skipped.Lines[0]).Text("text"));
    }

    [Fact]
    public async Task Detokenize_needs_ids() =>
        Assert.Contains("token_ids", JsonTest.Parse((await Cli.WithInputAsync("""{"text": "a"}""", Tokenize("--detokenize"))).Lines[0]).ErrorMessage(), StringComparison.Ordinal);

    [Fact]
    public async Task Half_of_a_surrogate_pair_is_read_as_the_tokenizer_reads_it()
    {
        var run = await Cli.WithInputAsync("{\"text\": \"a\\ud800\\n\\\"\\u00e9\\ud83d\\ude00\"}\n{\"text\": \"a\uFFFD\\n\\\"é😀\"}", Tokenize());
        Assert.Equal(run.Lines[1], run.Lines[0]);
    }

    [Fact]
    public async Task A_folder_with_nothing_but_the_tokenizer_is_enough()
    {
        var folder = Directory.CreateTempSubdirectory("localllm-tokenizer-").FullName;
        try
        {
            File.Copy(Path.Combine(TestPaths.TinyR1, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
            var run = await Cli.WithInputAsync("""{"text": "Once upon"}""", "tokenize", folder, "-i", "-");
            Assert.Equal([782, 798], JsonTest.Parse(run.Lines[0]).Ids("token_ids"));
            await File.WriteAllTextAsync(Path.Combine(folder, "tokenizer.json"), "{", TestContext.Current.CancellationToken);
            var broken = await Cli.WithInputAsync("""{"text": "Once upon"}""", "tokenize", folder, "-i", "-");
            Assert.Equal((1, ""), (broken.ExitCode, broken.Output));
            Assert.StartsWith("error: tokenizer.json: ", broken.Error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("deepseek-v3")]
    [InlineData("llama-3.1-8b-instruct")]
    [InlineData("deepseek-r1-distill-qwen-32b")]
    public async Task Real_tokenizers_give_the_reference_ids(string name)
    {
        var folder = TestPaths.Shared("data", "tokenizers", name);
        var cases = JsonNode.Parse(await File.ReadAllTextAsync(TestPaths.Shared("goldens", "tokenizers", name + ".json"), TestContext.Current.CancellationToken))!["cases"]!.AsArray();
        var input = string.Join('\n', cases.Select(one => new JsonObject { ["text"] = one!["text"]!.DeepClone() }.ToJsonString()));
        var bare = JsonTest.ParseAll((await Cli.WithInputAsync(input, "tokenize", "--model", folder, "--no-special-tokens", "--input", "-")).Lines);
        var special = JsonTest.ParseAll((await Cli.WithInputAsync(input, "tokenize", "--model", folder, "--input", "-")).Lines);
        for (var i = 0; i < cases.Count; i++)
        {
            Assert.Equal(Ids(cases[i]!["ids"]!), bare[i].Ids("token_ids"));
            Assert.Equal(Ids(cases[i]!["ids_with_special"] ?? cases[i]!["ids"]!), special[i].Ids("token_ids"));
        }
    }

    private static int[] Ids(JsonNode node) => [.. node.AsArray().Select(id => id!.GetValue<int>())];
}
