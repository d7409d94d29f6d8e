using LocalLlm.Tool.Serving;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace LocalLlm.Tool.Tests.Serving;

public sealed class ServeConfigurationTests
{
    [Fact]
    public void What_the_command_line_does_not_say_comes_from_the_configuration() =>
        Assert.Equal(
            ["serve", "m", "--port", "1", "--api-key", "a", "--api-key", "b", "--no-enable-prefix-caching", "--enforce-eager", "--max-model-len", "4k"],
            Complete("serve m --port 1", ("LocalLlm:Port", "2"), ("LocalLlm:MaxModelLen", "4k"), ("LocalLlm:EnforceEager", "true"), ("LocalLlm:EnablePrefixCaching", "false"), ("LocalLlm:ApiKey:0", "a"), ("LocalLlm:ApiKey:1", "b")));

    [Theory]
    [InlineData("MaxModelLen")]
    [InlineData("maxModelLen")]
    [InlineData("max_model_len")]
    [InlineData("max-model-len")]
    [InlineData("MAX_MODEL_LEN")]
    [InlineData("MaxModelLength")]
    public void A_name_may_be_written_as_each_source_writes_it(string key) => Assert.Equal(["serve", "m", "--max-model-len", "64"], Complete("serve m", ("LocalLlm:" + key, "64")));

    [Fact]
    public void The_model_of_the_command_line_goes_before_the_configured_one()
    {
        Assert.Equal(["serve", "m"], Complete("serve m", ("LocalLlm:ModelPath", "other")));
        Assert.Equal(["serve", "--model", "other"], Complete("serve", ("LocalLlm:ModelPath", "other")));
    }

    [Fact]
    public void A_command_line_switch_overrides_its_configured_opposite() =>
        Assert.Equal(["serve", "m", "--no-enable-prefix-caching"], Complete("serve m --no-enable-prefix-caching", ("LocalLlm:EnablePrefixCaching", "true")));

    [Theory]
    [InlineData("LOCALLLM_API_KEY")]
    [InlineData("VLLM_API_KEY")]
    public void The_key_may_come_from_the_environment(string variable)
    {
        Assert.Equal(["serve", "m", "--api-key", "k"], Complete("serve m", (variable, "k")));
        Assert.Equal(["serve", "m", "--api-key", "own"], Complete("serve m --api-key own", (variable, "k")));
    }

    [Fact]
    public void A_name_that_is_no_option_is_an_error_with_the_nearest()
    {
        var failure = Assert.Throws<UsageException>(() => Complete("serve m", ("LocalLlm:MaxModelLenn", "1")));
        Assert.Contains("--max-model-len", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_section_of_speculation_is_the_option_of_its_name()
    {
        const string json = """{"method":"ngram","num_speculative_tokens":4}""";
        var asked = Complete("serve m", ("LocalLlm:Speculation:Method", "ngram"), ("LocalLlm:Speculation:NumSpeculativeTokens", "4"));
        Assert.Equal(["serve", "m", "--speculative-config", json], asked);
        Assert.Equal(asked, Complete("serve m", ("LocalLlm:SpeculativeConfig", json)));
        Assert.Equal(asked, Complete("serve m", ("LocalLlm:speculative_config:method", "ngram"), ("LocalLlm:speculative_config:num_speculative_tokens", "4")));
        Assert.Equal(["serve", "m", "--speculative-config", "{}"], Complete("serve m --speculative-config {}", ("LocalLlm:Speculation:Method", "ngram")));
    }

    [Fact]
    public void The_section_of_balanced_experts_is_the_option_of_its_name()
    {
        const string json = """{"num_redundant_experts":4,"step_interval":50}""";
        var asked = Complete("serve m", ("LocalLlm:EnableEplb", "true"), ("LocalLlm:EplbConfig:NumRedundantExperts", "4"), ("LocalLlm:EplbConfig:StepInterval", "50"));
        Assert.Equal(["serve", "m", "--enable-eplb", "--eplb-config", json], asked);
        Assert.Equal(asked, Complete("serve m", ("LocalLlm:EnableEplb", "true"), ("LocalLlm:ExpertBalancing:num_redundant_experts", "4"), ("LocalLlm:ExpertBalancing:StepInterval", "50")));
        Assert.Equal(["serve", "m", "--eplb-config", "{}"], Complete("serve m --eplb-config {}", ("LocalLlm:EplbConfig:StepInterval", "50")));
    }

    [Theory]
    [InlineData("EplbConfig:StepInterval", "ExpertBalancing:WindowSize")]
    [InlineData("Speculation:NumSpeculativeTokens", "Speculation:num_speculative_tokens")]
    [InlineData("Speculation:Method", "SpeculativeConfig:num_speculative_tokens")]
    [InlineData("Speculation:Method", "speculative_config")]
    public void An_object_that_is_given_under_two_names_is_an_error_that_has_both(string first, string second)
    {
        var failure = Assert.Throws<UsageException>(() => Complete("serve m", ("LocalLlm:" + first, "4"), ("LocalLlm:" + second, "4")));
        var keys = first.Split(':')[0] == second.Split(':')[0] ? [first, second] : new[] { first.Split(':')[0], second.Split(':')[0] };
        Assert.All(keys, key => Assert.Contains("LocalLlm:" + key, failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Sections_of_others_are_left_alone() => Assert.Equal(["serve", "m"], Complete("serve m", ("LocalLlm:Server:ApiKeys:0", "a"), ("LocalLlm:second:ModelPath", "x")));

    private static IReadOnlyList<string> Complete(string line, params (string Key, string Value)[] configuration)
    {
        var args = line.Split(' ');
        return ServeConfiguration.Complete(args, CommandLineApp.Parse(Terminal.OfProcess(), args), new ConfigurationBuilder().AddInMemoryCollection(configuration.Select(entry => new KeyValuePair<string, string?>(entry.Key, entry.Value))).Build());
    }
}
