using LocalLlm.Models.Rotary;
using Xunit;
using static LocalLlm.Tests.Models.ConfigSamples;

namespace LocalLlm.Tests.Models.Rotary;

public class RopeConfigTests
{
    private static RopeConfig Rope(params (string Name, string? Json)[] changes) =>
        Parse(Llama([("max_position_embeddings", "4096"), .. changes])).Rope;

    [Fact]
    public void The_classic_and_the_new_form_say_the_same()
    {
        var classic = Rope(
            ("rope_theta", "500000.0"),
            ("rope_scaling", """{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":1024,"rope_type":"llama3"}"""));
        var modern = Rope(("rope_parameters", """
            {"rope_type":"llama3","rope_theta":500000.0,"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":1024}
            """));
        Assert.Equal(classic, modern);
        Assert.Equal((RopeType.Llama3, 500_000, 1024), (modern.RopeType, modern.Theta, modern.OriginalMaxPositionEmbeddings));
    }

    [Fact]
    public void The_legacy_type_is_read()
    {
        Assert.Equal(new RopeConfig { RopeType = RopeType.Linear, Factor = 2 }, Rope(("rope_scaling", """{"type":"linear","factor":2}""")));
        Assert.Equal(new RopeConfig { RopeType = RopeType.Dynamic, Factor = 2.5 }, Rope(("rope_scaling", """{"type":"dynamic","rope_type":"dynamic","factor":2.5}""")));
        Assert.Equal(new RopeConfig(), Rope(("rope_scaling", """{"type":"default"}""")));
    }

    [Fact]
    public void Theta_inside_wins_and_scaling_wins_over_parameters()
    {
        Assert.Equal(7, Rope(("rope_theta", "5"), ("rope_parameters", """{"rope_type":"default","rope_theta":7}""")).Theta);
        Assert.Equal(5, Rope(("rope_theta", "5"), ("rope_parameters", """{"rope_type":"default"}""")).Theta);
        Assert.Equal(7, Rope(("rope_parameters", """{"rope_theta":7}""")).Theta);
        var both = Rope(("rope_scaling", """{"type":"linear","factor":2}"""), ("rope_parameters", """{"rope_type":"yarn","factor":4}"""));
        Assert.Equal((RopeType.Linear, 2), (both.RopeType, both.Factor));
        Assert.Equal(RopeType.Yarn, Rope(("rope_scaling", "{}"), ("rope_parameters", """{"rope_type":"yarn","factor":4}""")).RopeType);
    }

    [Fact]
    public void Yarn_is_read_with_all_its_fields()
    {
        var rope = Rope(("rope_scaling", """
            {"type":"yarn","factor":40,"original_max_position_embeddings":1024,"beta_fast":16,"beta_slow":2,"mscale":0.707,
             "mscale_all_dim":1.0,"truncate":false,"attention_factor":1.25,"finetuned":true,"attn_factor":1.0}
            """));
        Assert.Equal(
            new RopeConfig
            {
                RopeType = RopeType.Yarn, Factor = 40, OriginalMaxPositionEmbeddings = 1024, BetaFast = 16, BetaSlow = 2, Mscale = 0.707,
                MscaleAllDim = 1, Truncate = false, AttentionFactor = 1.25,
            },
            rope);
    }

    [Fact]
    public void Zero_and_null_mean_absent_in_yarn_as_in_the_reference()
    {
        var rope = Rope(("rope_scaling", """{"type":"yarn","factor":4,"beta_fast":0,"beta_slow":null,"mscale":0,"mscale_all_dim":0.0,"attention_factor":null}"""));
        Assert.Equal(new RopeConfig { RopeType = RopeType.Yarn, Factor = 4, OriginalMaxPositionEmbeddings = 4096 }, rope);
    }

    [Fact]
    public void The_original_length_is_the_top_level_one_then_the_inner_one_then_the_context()
    {
        Assert.Equal(4096, Rope(("rope_scaling", """{"type":"yarn","factor":4}""")).OriginalMaxPositionEmbeddings);
        Assert.Equal(512, Rope(("rope_scaling", """{"type":"yarn","factor":4,"original_max_position_embeddings":512}""")).OriginalMaxPositionEmbeddings);
        Assert.Equal(
            256,
            Rope(("original_max_position_embeddings", "256"), ("rope_scaling", """{"type":"yarn","factor":4,"original_max_position_embeddings":512}"""))
                .OriginalMaxPositionEmbeddings);
    }

    [Fact]
    public void An_explicit_null_factor_of_yarn_is_the_ratio_of_the_lengths()
    {
        Assert.Equal(8, Rope(("rope_scaling", """{"type":"yarn","factor":null,"original_max_position_embeddings":512}""")).Factor);
    }

    [Theory]
    [InlineData("""{"type":"linear","factor":2}""", 8192)]
    [InlineData("""{"type":"dynamic","factor":2}""", 8192)]
    [InlineData("""{"type":"yarn","factor":4,"original_max_position_embeddings":1024}""", 4096)]
    [InlineData("""{"type":"yarn","factor":4}""", 16384)]
    [InlineData("""{"type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":1024}""", 4096)]
    [InlineData("""{"type":"default"}""", 4096)]
    public void The_longest_context_is_vLLMs(string scaling, long length)
    {
        Assert.Equal(length, Parse(Llama(("max_position_embeddings", "4096"), ("rope_scaling", scaling))).MaxModelLength);
    }
}
