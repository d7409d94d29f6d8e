using LocalLlm.Tool.Arguments;
using LocalLlm.Tests;
using Xunit;

namespace LocalLlm.Tool.Tests.Arguments;

/// <summary>The program accepts options of <c>vllm serve</c> that request what it does anyway. It refuses the others by name, with the
/// reason.</summary>
public sealed class VllmOptionsTests
{
    [Theory]
    [InlineData("--trust-remote-code")]
    [InlineData("--trust_remote_code")]
    [InlineData("--no-trust-remote-code")]
    [InlineData("--disable-log-requests")]
    [InlineData("--disable_log_requests --disable-log-stats")]
    [InlineData("--no-enable-log-requests")]
    [InlineData("--enable-reasoning --reasoning-parser deepseek_r1")]
    [InlineData("--enable-auto-tool-choice --tool-call-parser hermes")]
    [InlineData("--load-format auto")]
    [InlineData("--load-format=safetensors")]
    [InlineData("--load_format=auto")]
    [InlineData("--tokenizer_mode=hf")]
    [InlineData("--tokenizer-mode auto")]
    [InlineData("--distributed-executor-backend mp")]
    [InlineData("--distributed-executor-backend=uni")]
    [InlineData("--swap-space 4")]
    [InlineData("--swap_space=0")]
    [InlineData("--tensor-parallel-size 1 --pipeline-parallel-size=1 -dp 1")]
    [InlineData("-tp 1 -pp 1")]
    [InlineData("--enable-prefix-caching --enable-chunked-prefill")]
    [InlineData("--cpu-offload-gb 0.0")]
    [InlineData("--quantization None")]
    [InlineData("-q none")]
    [InlineData("--runner generate --convert none")]
    [InlineData("--task auto")]
    [InlineData("--no-enable-lora --no-enforce-eager --async-scheduling")]
    [InlineData("--uvicorn-log-level warning --disable-uvicorn-access-log")]
    [InlineData("--hf-overrides {}")]
    [InlineData("--speculative-config {}")]
    [InlineData("-sc {\"method\":\"ngram\",\"num_speculative_tokens\":4}")]
    [InlineData("--max-log-len 100 --api-server-count 1")]
    [InlineData("--guided-decoding-backend xgrammar")]
    [InlineData("--guided-decoding-backend=outlines:no-fallback")]
    [InlineData("--guided-decoding-backend lm-format-enforcer")]
    [InlineData("--guided_decoding_backend guidance")]
    [InlineData("--structured-outputs-config {\"backend\":\"xgrammar\"}")]
    [InlineData("--enable-chunked-prefill False --enable-prefix-caching True")]
    [InlineData("--enable-chunked-prefill=False --trust-remote-code true")]
    [InlineData("--enable-lora False --no-enable-lora=True --enforce_eager=False")]
    [InlineData("--max-model-len 128 --swap-space 0.5")]
    [InlineData("--guided-decoding-backend auto --scheduling-policy fcfs --disable-custom-all-reduce")]
    public async Task Options_that_request_the_default_behaviour_are_accepted(string options)
    {
        // The port is refused only after the command line was parsed.
        var run = await Cli.RunAsync(["serve", TestPaths.TinyR1, "--port", "70000", .. options.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error: --port: 70000 is no port", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--quantization=awq", "quantization is 'awq'", "allowed: none, fp8")]
    [InlineData("-q gptq", "quantization is 'gptq'", "allowed: none, fp8")]
    [InlineData("--calculate-kv-scales", "--calculate-kv-scales", "scales of its own")]
    [InlineData("--load-format gguf", "--load-format 'gguf'", "allowed: auto, hf, safetensors, dummy")]
    [InlineData("--cpu-offload-gb 4", "--cpu-offload-gb '4'", "stay on the device")]
    [InlineData("--data-parallel-size-local 2", "--data-parallel-size-local '2'", "load balancer")]
    [InlineData("--distributed-executor-backend ray", "--distributed-executor-backend: 'ray'", "allowed: threads (uni, mp), processes")]
    [InlineData("--no-async-scheduling", "--no-async-scheduling", "launched ahead")]
    [InlineData("--enable-log-requests", "--enable-log-requests", "/metrics")]
    [InlineData("--enable_lora", "--enable-lora", "LoRA")]
    [InlineData("--lora-modules a=b c=d", "--lora-modules", "LoRA")]
    [InlineData("--speculative-config.method=ngram", "--speculative-config.method", "one JSON object")]
    [InlineData("--speculative_config.method ngram", "--speculative-config.method", "one JSON object")]
    [InlineData("--eplb-config.num_redundant_experts 4", "--eplb-config.num-redundant-experts", "one JSON object")]
    [InlineData("--num-redundant-experts 4", "--num-redundant-experts '4'", "--eplb-config")]
    [InlineData("--num-speculative-tokens 4", "--num-speculative-tokens", "--speculative-config")]
    [InlineData("--spec-model x", "--spec-model", "no second model")]
    [InlineData("-O3", "-O3", "nothing to compile")]
    [InlineData("--middleware a.b", "--middleware", "no foreign code")]
    [InlineData("--rope-scaling {\"type\":\"yarn\"}", "--rope-scaling", "config.json")]
    [InlineData("--config vllm.yaml", "--config", "appsettings.json")]
    [InlineData("--runner pooling", "--runner pooling", "generates text")]
    [InlineData("--swap-space -1", "--swap-space '-1'", "a number of 0 or more")]
    [InlineData("--swap-space abc", "--swap-space 'abc'", "a number of 0 or more")]
    [InlineData("--guided-decoding-backend mine", "--guided-decoding-backend 'mine'", "xgrammar")]
    [InlineData("--enable-lora True", "--enable-lora", "LoRA")]
    [InlineData("--async-scheduling False", "--no-async-scheduling", "launched ahead")]
    [InlineData("--task embed", "--task embed", "generates text")]
    public async Task Other_vllm_options_are_refused_by_name_with_the_reason(string options, string name, string reason)
    {
        var run = await Cli.RunAsync(["serve", TestPaths.TinyR1, "--port", "0", .. options.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(name, run.Error, StringComparison.Ordinal);
        Assert.Contains(reason, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("did you mean", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("nearest", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--no-enable-prefix-caching")]
    [InlineData("--no-enable-chunked-prefill")]
    [InlineData("--enable-prefix-caching False")]
    public async Task An_encoder_accepts_options_that_ask_for_nothing(string options)
    {
        var run = await Cli.RunAsync(["serve", TestPaths.TinyM3, "--port", "70000", .. options.Split(' ')]);
        Assert.StartsWith("error: --port: 70000 is no port", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--enable-prefix-caching", "--enable-prefix-caching")]
    [InlineData("--task generate", "--task generate")]
    [InlineData("--runner generate", "embeds texts")]
    public async Task An_encoder_is_no_generator(string options, string says)
    {
        var run = await Cli.RunAsync(["serve", TestPaths.TinyM3, "--port", "0", .. options.Split(' ')]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(says, run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serve m --prot 1", "--port")]
    [InlineData("serve m --max-model 1", "--max-model-len")]
    [InlineData("serve m --max-num-sequences 1", "--max-num-seqs")]
    [InlineData("serve m --trust-remote-cod", "--trust-remote-code")]
    [InlineData("generate m --temprature 1", "--temperature")]
    [InlineData("tokenize m --inptu x", "--input")]
    [InlineData("download org/m --local-dri x", "--local-dir")]
    public async Task A_near_name_is_suggested(string line, string nearest)
    {
        var run = await Cli.RunAsync(line.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($"did you mean {nearest}?", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serve m --frobnicate")]
    [InlineData("serve m --gpu-layers 33")]
    [InlineData("serve m --model-loader-threads 3")]
    [InlineData("generate m --threads-batch 3")]
    [InlineData("render m --colour")]
    [InlineData("plan m --keep-alive 5m")]
    public async Task A_far_name_is_not_suggested(string line)
    {
        var run = await Cli.RunAsync(line.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("is not an option of this command.", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("did you mean", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenize m --trust-remote-code")]
    [InlineData("detokenize m --swap-space 4")]
    [InlineData("download org/m --random-input-len 3")]
    public async Task A_command_without_an_engine_says_that_the_option_is_vllms(string line)
    {
        var run = await Cli.RunAsync(line.Split(' '));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("is an option of vLLM's that this command does not have; remove it.", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_help_does_not_list_them() => Assert.DoesNotContain("trust-remote-code", (await Cli.RunAsync("serve", "--help")).Output, StringComparison.Ordinal);

    [Theory]
    [InlineData("--dtype", "--dtypee")]
    [InlineData(null, "--logits")]
    [InlineData(null, "--xy")]
    public void Nearness_is_of_letters(string? expected, string name) => Assert.Equal(expected, NearestName.OfOption(name, ["--dtype", "--device", "--logprobs-mode"]));
}
