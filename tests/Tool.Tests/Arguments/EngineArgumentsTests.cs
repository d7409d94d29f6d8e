using System.CommandLine;
using LocalLlm.Sampling;
using LocalLlm.Tool.Arguments;
using Xunit;

namespace LocalLlm.Tool.Tests.Arguments;

public class EngineArgumentsTests
{
    public static TheoryData<string, string, object?> Named => new()
    {
        { "--tokenizer other", nameof(EngineOptions.TokenizerPath), "other" },
        { "--served-model-name name", nameof(EngineOptions.ServedModelName), "name" },
        { "--dtype float32", nameof(EngineOptions.Dtype), "float32" },
        { "--device cpu", nameof(EngineOptions.Device), "cpu" },
        { "--tensor-parallel-size 2", nameof(EngineOptions.TensorParallel), 2 },
        { "-tp 2", nameof(EngineOptions.TensorParallel), 2 },
        { "--pipeline-parallel-size 3", nameof(EngineOptions.PipelineParallel), 3 },
        { "-pp 3", nameof(EngineOptions.PipelineParallel), 3 },
        { "--data-parallel-size 4", nameof(EngineOptions.DataParallel), 4 },
        { "-dp 4", nameof(EngineOptions.DataParallel), 4 },
        { "--enable-expert-parallel", nameof(EngineOptions.EnableExpertParallel), true },
        { "--enable-eplb", nameof(EngineOptions.ExpertBalancing), new ExpertBalancingOptions() },
        {
            "--enable-eplb --eplb-config {\"num_redundant_experts\":8,\"step_interval\":50,\"window_size\":20}", nameof(EngineOptions.ExpertBalancing),
            new ExpertBalancingOptions { NumRedundantExperts = 8, StepInterval = 50, WindowSize = 20 }
        },
        { "--max-model-len 1k", nameof(EngineOptions.MaxModelLen), 1000 },
        { "--max-model-len 1K", nameof(EngineOptions.MaxModelLen), 1024 },
        { "--max-model-len auto", nameof(EngineOptions.MaxModelLen), null },
        { "--max-model-len -1", nameof(EngineOptions.MaxModelLen), null },
        { "--max_model_len=77", nameof(EngineOptions.MaxModelLen), 77 },
        { "--max-num-seqs 8", nameof(EngineOptions.MaxNumSeqs), 8 },
        { "--max-num-batched-tokens 4K", nameof(EngineOptions.MaxNumBatchedTokens), 4096 },
        { "--long-prefill-token-threshold 64", nameof(EngineOptions.LongPrefillTokenThreshold), 64 },
        { "--enable-chunked-prefill", nameof(EngineOptions.EnableChunkedPrefill), true },
        { "--no-enable-chunked-prefill", nameof(EngineOptions.EnableChunkedPrefill), false },
        { "--enable-prefix-caching", nameof(EngineOptions.EnablePrefixCaching), true },
        { "--no-enable-prefix-caching", nameof(EngineOptions.EnablePrefixCaching), false },
        { "--gpu-memory-utilization 0.25", nameof(EngineOptions.GpuMemoryUtilization), 0.25 },
        { "--kv-cache-dtype fp8", nameof(EngineOptions.KvCacheDtype), "fp8" },
        { "--batch-invariant", nameof(EngineOptions.BatchInvariant), true },
        { "--quantization fp8", nameof(EngineOptions.Quantization), "fp8" },
        { "-q None", nameof(EngineOptions.Quantization), null },
        { "--kv-cache-memory-bytes 2G", nameof(EngineOptions.KvCacheMemoryBytes), 2L << 30 },
        { "--num-gpu-blocks-override 99", nameof(EngineOptions.NumGpuBlocksOverride), 99 },
        { "--skip-tokenizer-init", nameof(EngineOptions.SkipTokenizerInit), true },
        { "--chat-template t.jinja", nameof(EngineOptions.ChatTemplate), "t.jinja" },
        { "--generation-config vllm", nameof(EngineOptions.GenerationConfig), "vllm" },
        { "--max-logprobs -1", nameof(EngineOptions.MaxLogprobs), -1 },
        { "--logprobs-mode raw_logprobs", nameof(EngineOptions.LogprobsMode), LogprobsMode.RawLogprobs },
        { "--logprobs-mode raw_logits", nameof(EngineOptions.LogprobsMode), LogprobsMode.RawLogits },
        { "--logprobs-mode processed_logprobs", nameof(EngineOptions.LogprobsMode), LogprobsMode.ProcessedLogprobs },
        { "--logprobs-mode processed_logits", nameof(EngineOptions.LogprobsMode), LogprobsMode.ProcessedLogits },
        { """--speculative-config {"method":"ngram","num_speculative_tokens":4}""", nameof(EngineOptions.Speculation), new SpeculationOptions { Method = "ngram", NumSpeculativeTokens = 4 } },
        { """-sc {"method":"mtp","num_speculative_tokens":1}""", nameof(EngineOptions.Speculation), new SpeculationOptions { Method = "mtp", NumSpeculativeTokens = 1 } },
        { "--speculative-config {}", nameof(EngineOptions.Speculation), null },
        { "--seed 1234567890123", nameof(EngineOptions.Seed), 1234567890123L },
        { "--gpu-memory 14.5GiB", nameof(EngineOptions.GpuMemoryBytes), (14L << 30) + (512L << 20) },
        { "--cuda-arch 75", nameof(EngineOptions.CudaArch), 75 },
        { "--num-threads 1", nameof(EngineOptions.NumThreads), 1 },
        { "--pin-threads", nameof(EngineOptions.PinThreads), true },
        { "--libtorch dir", nameof(EngineOptions.LibTorchPath), "dir" },
        { "--block-size 16", nameof(EngineOptions.ModelPath), "m" },
    };

    [Theory]
    [MemberData(nameof(Named))]
    public void Every_option_reaches_the_engine_under_its_vllm_name(string line, string property, object? expected)
    {
        var options = Build("--model m " + line);
        Assert.Equal("m", options.ModelPath);
        Assert.Equal(expected, typeof(EngineOptions).GetProperty(property)!.GetValue(options));
    }

    [Fact]
    public void Devices_and_layers_of_stages_are_lists()
    {
        var options = Build("--model m -pp 3 --pipeline-layers 14,13,13 --devices cuda:0,cuda:2");
        Assert.Equal([14, 13, 13], options.PipelineLayers);
        Assert.Equal(["cuda:0", "cuda:2"], options.Devices);
    }

    [Fact]
    public void What_is_not_given_keeps_the_engines_default() => Assert.Equal(new EngineOptions { ModelPath = "m" }, Build("--model m"));

    [Fact]
    public void A_block_size_other_than_16_is_refused() =>
        Assert.Contains("16", Assert.Throws<UsageException>(() => Build("--model m --block-size 32")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_switch_and_its_opposite_contradict_each_other() =>
        Assert.Throws<UsageException>(() => Build("--model m --enable-prefix-caching --no-enable-prefix-caching"));

    private static EngineOptions Build(string line)
    {
        var arguments = new EngineArguments();
        var command = new RootCommand();
        arguments.AddTo(command);
        var result = command.Parse(OptionSpelling.Normalize(line.Split(' '), command), new ParserConfiguration { EnablePosixBundling = false });
        Assert.Empty(result.Errors);
        return arguments.Build(result, null);
    }
}
