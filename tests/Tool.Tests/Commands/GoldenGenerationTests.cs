using System.Text.Json;
using System.Text.Json.Nodes;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

/// <summary>Runs files of requests and compares the results with greedy reference outputs.</summary>
public class GoldenGenerationTests
{
    [Fact]
    public async Task The_tiny_models_prompts_all_at_once_give_the_reference_ids()
    {
        var prompts = JsonNode.Parse(await File.ReadAllTextAsync(TestPaths.Shared("goldens", "trained", "tiny-r1.json"), TestContext.Current.CancellationToken))!["prompts"]!.AsArray();
        var lines = prompts.Select(prompt =>
        {
            var line = new JsonObject { ["temperature"] = 0, ["max_tokens"] = Wanted(prompt!) };
            if (prompt!["messages"] is not { } messages)
            {
                line["prompt"] = prompt["prompt"]!.DeepClone();
                line["add_special_tokens"] = false;
                return line.ToJsonString();
            }

            line["messages"] = messages.DeepClone();
            line["tools"] = prompt["tools"]?.DeepClone();
            return line.ToJsonString();
        });
        var run = await Cli.WithInputAsync(string.Join('\n', lines), "generate", "--model", TestPaths.TinyR1, "--dtype", "float32", "--input", "-");
        var results = JsonTest.ParseAll(run.Lines);
        Assert.Equal(prompts.Count, results.Length);
        for (var i = 0; i < results.Length; i++)
        {
            var length = Wanted(prompts[i]!);
            Assert.Equal(Ids(prompts[i]!["ids"]!), results[i].Ids("prompt_token_ids"));
            Assert.Equal(Ids(prompts[i]!["output_ids"]!).Take(length), results[i].Ids("token_ids"));
        }
    }

    [Fact]
    public async Task Ids_through_a_folder_without_tokenizer_give_the_reference_ids()
    {
        var folder = TestPaths.Shared("goldens", "random", "qwen2-tied");
        using var golden = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(folder, "golden.json"), TestContext.Current.CancellationToken));
        var cases = golden.RootElement.GetProperty("cases").EnumerateArray().ToArray();
        var lines = cases.Select(one => $$"""{"temperature": 0, "ignore_eos": true, "max_tokens": 24, "prompt_token_ids": {{one.GetProperty("ids").GetRawText()}}}""");
        var run = await Cli.WithInputAsync(string.Join('\n', lines), "generate", "--model", folder, "--skip-tokenizer-init", "--dtype", "float32", "--input", "-");
        foreach (var (line, one) in JsonTest.ParseAll(run.Lines).Zip(cases))
            Assert.Equal(one.Ids("greedy"), line.Ids("token_ids"));
    }

    // Number of tokens to compare: up to the first position where two tokens are nearly equally likely, and at most 12 to save time.
    private static int Wanted(JsonNode prompt)
    {
        var nearTies = Ids(prompt["near_ties"]!);
        return Math.Clamp(nearTies.DefaultIfEmpty(int.MaxValue).Min(), 1, Math.Min(12, Ids(prompt["output_ids"]!).Length));
    }

    private static int[] Ids(JsonNode node) => [.. node.AsArray().Select(id => id!.GetValue<int>())];
}
