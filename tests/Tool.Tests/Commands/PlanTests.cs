using LocalLlm.Tests;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tool.Tests.Commands;

public sealed class PlanTests : IDisposable
{
    private const string Config = """
        {"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":5120,"intermediate_size":27648,"num_hidden_layers":64,"num_attention_heads":40,
         "num_key_value_heads":8,"vocab_size":152064,"max_position_embeddings":131072,"tie_word_embeddings":false,"torch_dtype":"bfloat16"}
        """;

    private readonly TemporaryFolder _folder = new();

    public PlanTests() => _folder.Write("config.json", Config);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_plan_for_other_cards_needs_config_json_alone_and_shows_every_rank()
    {
        var run = await Cli.RunAsync("plan", _folder.Path, "--gpu", "a100-80g", "--gpus-per-node", "8", "--nodes", "2", "-tp", "8", "-pp", "2");
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Equal(16, run.Lines.Count(line => line.Contains(" GiB  ", StringComparison.Ordinal) && line.Contains('-', StringComparison.Ordinal) && char.IsDigit(line.TrimStart()[0])));
        foreach (var part in (string[])["32.76 B parameters", "tensor parallel 8 x pipeline parallel 2 over 2 nodes of 8", "Predicted", "not measured", "130 all-reduces x 2.2 us (assumed", "Smallest that fits", "--nnodes 2 --node-rank <0|1> --master-addr <node 0>"])
            Assert.Contains(part, run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plan_that_does_not_fit_is_shown_and_exits_with_2_and_command_lines()
    {
        var run = await Cli.RunAsync("plan", _folder.Path, "--gpu", "T4", "-tp", "4");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("does not fit", run.Output, StringComparison.Ordinal);
        var lines = run.Error.TrimEnd().Split('\n');
        Assert.StartsWith("error: tensor_parallel_size is 4, but 4 x T4 have too little memory", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("  one node, 5 x T4: localllm serve " + _folder.Path + " --pipeline-parallel-size 5", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plan_that_is_not_possible_is_one_error_and_json_says_the_same()
    {
        string[] line = ["plan", _folder.Path, "--gpu", "T4", "--tensor-parallel-size", "5"];
        var run = await Cli.RunAsync(line);
        Assert.Equal((2, ""), (run.ExitCode, run.Output));
        Assert.Contains("8 key and value heads are not divisible by 5", run.Error, StringComparison.Ordinal);
        var both = await Cli.RunAsync([.. line, "--json"]);
        Assert.Equal(2, both.ExitCode);
        var json = JsonTest.Parse(both.Output);
        Assert.Equal(("invalid", 0), (json.GetProperty("verdict").GetString(), json.GetProperty("ranks").GetArrayLength()));
        Assert.Equal(5, json.GetProperty("alternatives")[0].GetProperty("pipeline_parallel").GetInt32());
    }

    [Theory]
    [InlineData("80GiB", 80L << 30)]
    [InlineData("14.5GiB", 29L << 29)]
    [InlineData("80G", 80L << 30)]
    [InlineData("80GB", 80_000_000_000)]
    [InlineData("81920MiB", 80L << 30)]
    [InlineData("24576 MiB", 24L << 30)]
    public async Task The_memory_of_a_card_may_be_given_instead_of_its_name(string size, long bytes)
    {
        var json = JsonTest.Parse((await Cli.RunAsync("plan", _folder.Path, "--gpu-memory", size, "-tp", "8", "--json")).Output);
        Assert.Equal(bytes, json.GetProperty("cards")[0].GetProperty("memory_bytes").GetInt64());
        Assert.Equal(8, json.GetProperty("ranks").GetArrayLength());
        // Without the card's bandwidth, the plan predicts no times.
        Assert.Equal(System.Text.Json.JsonValueKind.Null, json.GetProperty("prediction").ValueKind);
    }

    [Theory]
    [InlineData("--gpu-memory 80", "--gpu-memory: '80'")]
    [InlineData("--gpu-memory lots", "--gpu-memory: 'lots'")]
    [InlineData("--gpu A100", "may be A100-40G or A100-80G or A100-PCIe-80G")]
    [InlineData("--gpu TPU", "'TPU' is not known")]
    [InlineData("--gpu T4,L4", "one for each stage")]
    [InlineData("--gpu T4 --gpus-per-node 0", "gpus_per_node is 0")]
    [InlineData("--gpu T4 --nodes 0 -tp 1", "nnodes is 0")]
    [InlineData("--gpu T4 --pipeline-layers 1,x", "--pipeline-layers: 'x'")]
    [InlineData("--gpu T4 --dtype bfloat16", "dtype is bfloat16, which a T4 does not compute in")]
    [InlineData("--gpu H100 --max-model-len 200000", "positions up to 131072")]
    [InlineData("--gpu H100 -pp 65", "the model has 64 layers")]
    public async Task What_makes_no_plan_exits_with_2(string options, string says)
    {
        var run = await Cli.RunAsync(["plan", _folder.Path, .. options.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_sizes_the_fewest_of_the_cards_are_chosen()
    {
        var run = await Cli.RunAsync("plan", _folder.Path, "--gpu", "L40S", "--gpus-per-node", "4");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("on 2 x L40S", run.Output, StringComparison.Ordinal);
        Assert.Contains("--tensor-parallel-size 2", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_this_machine_several_ranks_are_estimated_and_one_is_planned_as_before()
    {
        var two = await Cli.RunAsync("plan", TestPaths.TinyR1, "--device", "cpu", "-tp", "2", "-pp", "2");
        Assert.Equal((0, ""), (two.ExitCode, two.Error));
        Assert.Contains("on 4 x cpu", two.Output, StringComparison.Ordinal);
        Assert.Contains("config.json and the headers of 1 file", two.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("the files hold", two.Output, StringComparison.Ordinal);
        Assert.Contains("Memory plan of", (await Cli.RunAsync("plan", TestPaths.TinyR1, "--device", "cpu")).Output, StringComparison.Ordinal);
        var three = await Cli.RunAsync("plan", TestPaths.TinyR1, "--device", "cpu", "-tp", "3");
        Assert.Equal(2, three.ExitCode);
        Assert.Contains("4 attention heads are not divisible by 3", three.Error, StringComparison.Ordinal);
    }
}
