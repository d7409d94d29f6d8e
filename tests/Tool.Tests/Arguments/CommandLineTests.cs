using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Arguments;

public class CommandLineTests
{
    private static string[] Model => ["--model", TestPaths.TinyR1];

    [Theory]
    [InlineData("embed", "2048 on a CPU, 8192 on a GPU, 32768 on one of 70 GiB or more.", "Most tokens of a text")]
    [InlineData("serve", "2048; of an encoder 2048 on a CPU, 8192 on a GPU, 32768 on one of 70 GiB or more.", "prompt and output together, or of a text that is embedded")]
    [InlineData("generate", "default 2048.", "prompt and output together, such as")]
    public async Task The_help_tells_the_defaults_of_what_a_command_loads(string command, string steps, string length)
    {
        var help = string.Join(' ', (await Cli.RunAsync(command, "--help")).Output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(steps, help, StringComparison.Ordinal);
        Assert.Contains(length, help, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_arguments_help_is_printed()
    {
        var run = await Cli.RunAsync();
        Assert.Equal(0, run.ExitCode);
        foreach (var command in new[] { "serve", "download", "generate", "chat", "embed", "plan", "bench", "tokenize", "detokenize", "render" })
            Assert.Contains("\n  " + command, run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serve --help", "--api-key")]
    [InlineData("generate --help", "--max-num-batched-tokens")]
    [InlineData("bench latency --help", "--num-iters")]
    [InlineData("render --help", "--now")]
    [InlineData("plan --help --bogus", "--json")]
    public async Task Help_lists_the_options_of_a_command(string line, string option)
    {
        var run = await Cli.RunAsync(line.Split(' '));
        Assert.Equal(0, run.ExitCode);
        Assert.Contains(option, run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("plan --max-num-sequences 3", "--max-num-seqs")]
    [InlineData("plan --modell x", "--model")]
    [InlineData("generate --max-toknes=3", "--max-tokens")]
    [InlineData("tokenize --no-special-token", "--no-special-tokens")]
    [InlineData("bench throughput --num-promts 3", "--num-prompts")]
    public async Task A_misspelt_option_is_named_with_its_nearest(string line, string nearest)
    {
        var run = await Cli.RunAsync(line.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($"did you mean {nearest}?", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Theory]
    [InlineData("--enable-lora", "error: --enable-lora is an option of vLLM's that is not available here: LoRA adapters are not supported")]
    [InlineData("--uvicorn-log-level debug", "error: --uvicorn-log-level 'debug' is not available here")]
    [InlineData("--prot 1", "did you mean --port?")]
    [InlineData("--port 70000", "error: --port: 70000 is no port; use 0 to 65535")]
    [InlineData("--ssl-keyfile x", "need --ssl-certfile")]
    [InlineData("--ssl-certfile /nowhere", "--ssl-certfile")]
    [InlineData("--allow-credentials", "--allowed-origins")]
    [InlineData("--allowed-origins [1]", "is no JSON list of texts")]
    [InlineData("--allowed-origins https://a.example", "'[\"https://a.example\"]'")]
    [InlineData("--allowed-methods GET", "'[\"GET\"]'")]
    [InlineData("--root-path llm", "does not begin with /")]
    [InlineData("--default-chat-template-kwargs [1]", "is no JSON object")]
    [InlineData("--shutdown-timeout -1", "use 0 to 86400 seconds")]
    [InlineData("--max-waiting-seqs -1", "use at least 0")]
    [InlineData("--api-key a\u00e9", "--api-key")]
    [InlineData("--tensor-parallel-size 3", "4 attention heads are not divisible by 3")]
    [InlineData("--pipeline-parallel-size 9", "the model has 8 layers")]
    [InlineData("--pipeline-parallel-size 2 --pipeline-layers 4,3", "add up to 7")]
    [InlineData("--data-parallel-size 2", "data_parallel_size is 2, but the model has no experts")]
    [InlineData("-dp 2 --distributed-executor-backend processes", "data_parallel_size is 2, but distributed_executor_backend is processes")]
    [InlineData("--enable-eplb -dp 2", "enable_eplb is set, but enable_expert_parallel is not")]
    [InlineData("--eplb-config {}", "--eplb-config has no meaning without --enable-eplb")]
    [InlineData("--enable-eplb --eplb-config {\"num_redundant\":3}", "num_redundant")]
    [InlineData("--enable-eplb --eplb-config 32", "eplb_config is 32")]
    [InlineData("--devices cpu,gpu -tp 2", "devices names 'gpu'")]
    [InlineData("--reasoning-parser x", "reasoning_parser")]
    [InlineData("--tool-call-parser x", "tool_call_parser")]
    public async Task What_a_server_cannot_be_started_with_is_said_at_once(string options, string message)
    {
        var run = await Cli.RunAsync(["serve", TestPaths.TinyR1, .. options.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serv", "error: 'serv' is not a command")]
    [InlineData("tokenise", "did you mean tokenize?")]
    [InlineData("plan", "--model")]
    [InlineData("plan --model", "--model")]
    [InlineData("plan a --model b", "twice")]
    [InlineData("plan a b", "'b' is one argument too many")]
    [InlineData("plan x --max-model-len 1.5K", "--max-model-len: '1.5K'")]
    [InlineData("plan x --max-model-len 3000000000", "--max-model-len")]
    [InlineData("plan x --gpu-memory-utilization lots", "--gpu-memory-utilization: 'lots'")]
    [InlineData("plan x --logprobs-mode some", "raw_logprobs, raw_logits, processed_logprobs, processed_logits")]
    [InlineData("plan x --block-size 32", "--block-size: 32")]
    [InlineData("plan x --enable-prefix-caching=maybe", "--no-enable-prefix-caching")]
    [InlineData("generate x --prompt a --skip_tokenizer_init=1", "--skip-tokenizer-init takes no value")]
    [InlineData("generate x", "--prompt")]
    [InlineData("generate x --prompt a --message b", "more than once")]
    [InlineData("generate x --prompt a --input -", "--input")]
    [InlineData("generate x --output f", "--input")]
    [InlineData("generate x --input - --temperature 0", "--temperature")]
    [InlineData("generate x --prompt a --skip-tokenizer-init", "prompt_token_ids")]
    [InlineData("tokenize x", "--input")]
    [InlineData("tokenize --input -", "--model")]
    [InlineData("render --input -", "--template")]
    [InlineData("render --template x --input - --now yesterday", "--now: 'yesterday'")]
    [InlineData("bench throughput x --num-prompts 0", "--num-prompts")]
    public async Task A_command_line_that_makes_no_sense_exits_with_2(string line, string says)
    {
        var run = await Cli.RunAsync(line.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
        Assert.StartsWith("error: ", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Theory]
    [InlineData("--dtype int3", "int3")]
    [InlineData("--kv-cache-dtype fp8_e5m2", "kv_cache_dtype is 'fp8_e5m2'; allowed: auto")]
    [InlineData("-q awq", "quantization is 'awq'; allowed: none, fp8 (only for a checkpoint in 8-bit floats")]
    [InlineData("--quantization fp8", "quantization is fp8, but config.json has no quantization_config")]
    [InlineData("-tp 3", "tensor_parallel_size")]
    [InlineData("--gpu-memory-utilization 2", "gpu_memory_utilization")]
    public async Task An_option_that_the_engine_refuses_exits_with_2(string option, string says)
    {
        var run = await Cli.RunAsync(["plan", .. Model, .. option.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
    }
}
