using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using LocalLlm.Tests;
using LocalLlm.Tests.Planning;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

/// <summary>The program accepts every command line that a plan prints, and that line gives the same plan again.</summary>
public sealed partial class PlanLinesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    // Leaves out negative counts in a list: parsing the command line already refuses them.
    public static IEnumerable<ITheoryDataRow> Typed() => BadPlans.All().Where(row => row.Data.Item4?.StartsWith('-') != true);

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Typed))]
    public async Task Every_line_that_is_offered_gives_the_plan_that_it_promises(
        string config, string sizes, int perNode, string? layers, string card, string option, string says, string? offered)
    {
        _folder.Write("config.json", config);
        var counts = sizes.Split(' ');
        List<string> asked = ["--gpu", card, $"--tensor-parallel-size={counts[0]}", $"--pipeline-parallel-size={counts[1]}", $"--nodes={counts[2]}"];
        if (perNode > 0)
            asked.Add($"--gpus-per-node={perNode}");
        if (layers is not null)
            asked.Add($"--pipeline-layers={layers}");
        var run = await Cli.RunAsync(["plan", _folder.Path, .. asked]);
        Assert.Equal(2, run.ExitCode);
        var lines = run.Error.TrimEnd().Split('\n');
        Assert.Equal("error: " + says, lines[0]);
        Assert.Contains(option, says, StringComparison.Ordinal);
        Assert.True(lines.Length > 1);
        foreach (var line in lines[1..])
        {
            var parts = Offer().Match(line);
            Assert.True(parts.Success, line);
            var plan = await AgainAsync(parts.Groups["line"].Value, "--gpu", card);
            Assert.Equal(long.Parse(parts.Groups["tokens"].Value, NumberStyles.AllowThousands, CultureInfo.InvariantCulture), plan.GetProperty("kv_cache_tokens").GetInt64());
            if (offered is not null && line == lines[1])
                Assert.Equal(offered, $"{plan.GetProperty("tensor_parallel")} {plan.GetProperty("pipeline_parallel")} {plan.GetProperty("nodes")}");
        }
    }

    [Theory]
    [InlineData("--gpu H100 -tp 2 --gpu-memory-utilization 0.85 --max-num-seqs 64 --max-num-batched-tokens 1024 --enforce-eager --max-model-len 4096 --dtype float16")]
    [InlineData("--gpu H100 -tp 2 --kv-cache-memory-bytes 4294967296")]
    [InlineData("--gpu H100 -tp 2 --num-gpu-blocks-override 2000")]
    [InlineData("--gpu H100 -pp 2 --pipeline-layers 40,24")]
    [InlineData("--gpu L40S,A100-40G -pp 2")]
    [InlineData("--gpu T4 -pp 6 --max-num-seqs 700")] // tight, with a step that has room for all sequences
    [InlineData("--gpu T4 -pp 5 --max-num-batched-tokens 4")]
    public async Task The_line_of_a_plan_has_all_that_its_memory_depends_on(string options)
    {
        _folder.Write("config.json", PublishedConfigs.Qwen32B);
        var run = await Cli.RunAsync(["plan", _folder.Path, .. options.Split(' '), "--json"]);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        var plan = JsonTest.Parse(run.Output);
        var line = plan.GetProperty("command_line").GetString()!;
        foreach (var given in options.Split(" --")[1..])
            Assert.Contains($" --{given}", line + " ", StringComparison.Ordinal);
        if (options.Contains(',', StringComparison.Ordinal))
            Assert.Contains(" --pipeline-layers ", line, StringComparison.Ordinal);
        var again = await AgainAsync(line, options.Split(' ')[..2]);
        Assert.Equal(plan.GetProperty("ranks").ToString(), again.GetProperty("ranks").ToString());
    }

    // Plans again with only the printed words: the plan must fit, tight or not, and print the same line.
    private static async Task<JsonElement> AgainAsync(string line, params string[] cards)
    {
        var words = OtherNodes().Replace(line, "").Split(' ');
        Assert.Equal(["localllm", "serve"], words[..2]);
        var run = await Cli.RunAsync(["plan", .. words[2..], .. cards, "--json"]);
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        var plan = JsonTest.Parse(run.Output);
        Assert.Equal("fits", plan.GetProperty("verdict").GetString());
        Assert.Equal(line, plan.GetProperty("command_line").GetString());
        return plan;
    }

    [GeneratedRegex(@"\A  [a-z0-9]+ nodes?, [0-9]+ x \S+: (?<line>localllm serve .*)   \(weights of at most .*; (?<tokens>[0-9,]+) tokens of KV cache(, tight)?\)\z")]
    private static partial Regex Offer();

    // The user has to fill in the node's rank and node 0's address.
    [GeneratedRegex(" --node-rank <[^>]*> --master-addr <[^>]*>")]
    private static partial Regex OtherNodes();
}
