using System.Text;
using LocalLlm.Models;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Models;

public class GenerationConfigTests
{
    private static readonly ModelConfig s_model = ConfigSamples.Parse(ConfigSamples.Llama(("eos_token_id", "[2,3]"), ("bos_token_id", "1")));

    private static GenerationConfig Parse(string text) => GenerationConfig.Parse(Encoding.UTF8.GetBytes(text), s_model);

    [Fact]
    public void The_shipped_models_defaults_are_read()
    {
        var config = GenerationConfig.Load(TestPaths.TinyR1, ModelConfig.Load(TestPaths.TinyR1));
        Assert.Equal((0.6, 0.95, true), (config.Temperature, config.TopP, config.DoSample));
        Assert.Equal((4075, null), (config.BosTokenId, config.PadTokenId));
        Assert.Equal([4072], config.EosTokenIds);
        Assert.Null(config.TopK);
        Assert.Null(config.MaxNewTokens);
    }

    [Fact]
    public void Real_files_are_read()
    {
        foreach (var name in (string[])["llama-3.1-8b-instruct", "deepseek-r1-distill-qwen-32b"])
        {
            var folder = TestPaths.Shared("data", "tokenizers", name);
            Assert.Equal(0.6, GenerationConfig.Load(folder, ModelConfig.Load(folder)).Temperature);
        }

        var llama = TestPaths.Shared("data", "tokenizers", "llama-3.1-8b-instruct");
        Assert.Equal([128001, 128008, 128009], GenerationConfig.Load(llama, ModelConfig.Load(llama)).EosTokenIds);
    }

    [Fact]
    public void Without_the_file_only_the_ids_of_config_json_are_known()
    {
        using var folder = new TemporaryFolder();
        var config = GenerationConfig.Load(folder.Path, s_model);
        Assert.Equal([2, 3], config.EosTokenIds);
        Assert.Equal(new GenerationConfig { BosTokenId = 1, EosTokenIds = config.EosTokenIds }, config);
    }

    [Fact]
    public void Every_field_is_read_and_unknown_ones_are_ignored()
    {
        var config = Parse("""
            {"temperature":0,"top_p":1,"top_k":-1,"min_p":0.05,"repetition_penalty":1.1,"max_new_tokens":100,"do_sample":false,"eos_token_id":5,
             "bos_token_id":6,"pad_token_id":0,"_from_model_config":true,"suppress_tokens":[1],"transformers_version":"5.0.0","watermarking_config":{}}
            """);
        Assert.Equal((0, 1, -1, 0.05, 1.1, 100), (config.Temperature, config.TopP, config.TopK, config.MinP, config.RepetitionPenalty, config.MaxNewTokens));
        Assert.Equal((false, 6, 0), (config.DoSample, config.BosTokenId, config.PadTokenId));
        Assert.Equal([5], config.EosTokenIds);
    }

    [Fact]
    public void Temperature_is_taken_even_where_do_sample_is_false()
    {
        Assert.Equal(0.7, Parse("""{"do_sample":false,"temperature":0.7}""").Temperature);
    }

    [Fact]
    public void Null_and_absent_ids_come_from_config_json()
    {
        var config = Parse("""{"eos_token_id":null,"pad_token_id":-1}""");
        Assert.Equal([2, 3], config.EosTokenIds);
        Assert.Equal((1, null), (config.BosTokenId, config.PadTokenId));
        Assert.Equal([7, 8], Parse("""{"eos_token_id":[7,8,7]}""").EosTokenIds);
    }

    [Theory]
    [InlineData("EMPTY", "", "is empty")]
    [InlineData("TOP_IS_LIST", "[]", "found JSON Array")]
    [InlineData("NOT_JSON", "{\"temperature\":NaN}", "not valid JSON")]
    [InlineData("DUPLICATE", "{\"top_k\":1,\"top_k\":2}", "top_k")]
    [InlineData("TEMPERATURE_NEGATIVE", "{\"temperature\":-0.1}", "temperature: found -0.1, wanted a number from 0 to 2")]
    [InlineData("TEMPERATURE_HIGH", "{\"temperature\":2.1}", "temperature: found 2.1")]
    [InlineData("TEMPERATURE_INFINITE", "{\"temperature\":1e400}", "temperature: found 1e400")]
    [InlineData("TEMPERATURE_STRING", "{\"temperature\":\"0.6\"}", "temperature: found '0.6'")]
    [InlineData("TOP_P_ZERO", "{\"top_p\":0}", "top_p: found 0, wanted a number above 0, at most 1")]
    [InlineData("TOP_P_HIGH", "{\"top_p\":1.01}", "top_p: found 1.01")]
    [InlineData("TOP_K_LOW", "{\"top_k\":-2}", "top_k: found -2")]
    [InlineData("TOP_K_FRACTION", "{\"top_k\":50.0}", "top_k: found 50.0")]
    [InlineData("MIN_P_HIGH", "{\"min_p\":1.5}", "min_p: found 1.5")]
    [InlineData("REPETITION_ZERO", "{\"repetition_penalty\":0}", "repetition_penalty: found 0")]
    [InlineData("MAX_NEW_TOKENS_ZERO", "{\"max_new_tokens\":0}", "max_new_tokens: found 0")]
    [InlineData("MAX_NEW_TOKENS_HUGE", "{\"max_new_tokens\":1e12}", "max_new_tokens: found 1e12")]
    [InlineData("DO_SAMPLE_NUMBER", "{\"do_sample\":1}", "do_sample: found 1")]
    [InlineData("EOS_BEYOND_VOCAB", "{\"eos_token_id\":320}", "eos_token_id: found 320")]
    [InlineData("EOS_STRING", "{\"eos_token_id\":\"</s>\"}", "eos_token_id: found '</s>'")]
    [InlineData("BOS_NEGATIVE", "{\"bos_token_id\":-1}", "bos_token_id: found -1")]
    [InlineData("PAD_LIST", "{\"pad_token_id\":[0]}", "pad_token_id: found a list of 1")]
    public void A_bad_value_is_one_error_that_names_the_field(string name, string text, string words)
    {
        Assert.NotEmpty(name);
        var error = Assert.Throws<EngineException>(() => Parse(text));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.StartsWith("generation_config.json: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }
}
