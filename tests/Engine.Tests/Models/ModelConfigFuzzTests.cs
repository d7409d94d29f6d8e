using System.Diagnostics;
using System.Text;
using LocalLlm.Models;
using LocalLlm.Models.Rotary;
using LocalLlm.Weights;
using Xunit;
using static LocalLlm.Tests.Models.ConfigSamples;

namespace LocalLlm.Tests.Models;

public class ModelConfigFuzzTests
{
    private static readonly byte[][] s_configs =
    [
        .. new[]
        {
            Llama(("rope_scaling", """{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64,"rope_type":"llama3"}"""), ("head_dim", "24")),
            Mistral(("rope_parameters", """{"rope_type":"yarn","rope_theta":1e6,"factor":4,"mscale":1,"mscale_all_dim":0.7,"truncate":true}"""), ("sliding_window", "17")),
            Qwen2(("use_sliding_window", "true"), ("max_window_layers", "2"), ("torch_dtype", "\"bfloat16\""), ("eos_token_id", "[1,2]")),
            Qwen3(("layer_types", """["full_attention","full_attention","full_attention","full_attention"]"""), ("rope_scaling", """{"type":"dynamic","factor":2}""")),
        }.Select(Encoding.UTF8.GetBytes),
    ];

    [Fact]
    public void A_mutated_configuration_is_read_soundly_or_refused_with_one_typed_error()
    {
        var accepted = 0;
        var slowest = TimeSpan.Zero;
        var most = 0L;
        var count = Mutator.Times(3_000);
        for (var seed = 0; seed < count; seed++)
        {
            var text = new Mutator(seed).Mutate(s_configs[seed % s_configs.Length]);
            var allocated = GC.GetAllocatedBytesForCurrentThread();
            var start = Stopwatch.GetTimestamp();
            try
            {
                AssertSound((DecoderConfig)ModelConfig.Parse(text), seed);
                accepted++;
            }
            catch (EngineException e)
            {
                Assert.True(e.Kind == EngineErrorKind.ModelFolder && e.Message.Length < 4000, $"seed {seed}: {e.Message}");
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"seed {seed}: {e}\n{Encoding.UTF8.GetString(text)}");
            }

            var elapsed = Stopwatch.GetElapsedTime(start);
            slowest = elapsed > slowest ? elapsed : slowest;
            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - allocated);
        }

        TestContext.Current.SendDiagnosticMessage($"{count} configurations, {accepted} accepted, slowest {slowest}, most bytes allocated {most}, peak {Process.GetCurrentProcess().PeakWorkingSet64 >> 20} MiB");
        Assert.InRange(accepted, 1, count - 1);
        Assert.True(slowest < TimeSpan.FromSeconds(30), $"slowest: {slowest}");
        Assert.InRange(most, 0, 1 << 20);
    }

    [Fact]
    public void Mutated_generation_configs_and_indexes_are_read_or_refused_with_one_typed_error()
    {
        var model = Parse(Llama());
        var generation = """{"temperature":0.6,"top_p":0.95,"top_k":20,"min_p":0,"max_new_tokens":99,"eos_token_id":[1,2],"bos_token_id":1,"do_sample":true}"""u8.ToArray();
        var index = """{"metadata":{"total_size":8},"weight_map":{"a.weight":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"""u8.ToArray();
        for (var seed = 0; seed < Mutator.Times(2_000); seed++)
        {
            Typed(() => GenerationConfig.Parse(new Mutator(seed).Mutate(generation), model), seed);
            Typed(() => CheckpointIndex.Parse(new Mutator(seed).Mutate(index)), seed);
        }
    }

    private static void Typed(Action parse, int seed)
    {
        try
        {
            parse();
        }
        catch (EngineException e)
        {
            Assert.Equal(EngineErrorKind.ModelFolder, e.Kind);
        }
        catch (Exception e)
        {
            Assert.Fail($"seed {seed}: {e}");
        }
    }

    // Checks the values that the engine divides by, allocates and indexes with.
    private static void AssertSound(DecoderConfig config, int seed)
    {
        Assert.True(config.NumAttentionHeads > 0 && config.NumKeyValueHeads > 0 && config.NumAttentionHeads % config.NumKeyValueHeads == 0, $"seed {seed}");
        Assert.True(config.HeadDim > 0 && config.HeadDim % 2 == 0 && config.HeadDim <= 1024, $"seed {seed}");
        Assert.True(config.HiddenSize is > 0 and <= 131_072 && config.VocabSize is > 0 and <= 4 << 20 && config.NumHiddenLayers is > 0 and <= 1000, $"seed {seed}");
        Assert.True(config.RmsNormEps is > 0 and <= 1 && config.MaxPositionEmbeddings > 0 && config.MaxModelLength > 0, $"seed {seed}");
        Assert.True(config.SlidingLayers.Count == 0 || (config.SlidingLayers.Count == config.NumHiddenLayers && config.SlidingWindow > 0), $"seed {seed}");
        Assert.All(config.EosTokenIds, id => Assert.InRange(id, 0, config.VocabSize - 1));
        var (frequencies, scale) = RotaryFrequencies.Compute(config.Rope, config.HeadDim, config.MaxPositionEmbeddings, 4L * config.MaxPositionEmbeddings);
        Assert.True(frequencies.Length == config.HeadDim / 2 && frequencies.All(float.IsFinite) && float.IsFinite(scale), $"seed {seed}: {config.Rope}");
    }
}
