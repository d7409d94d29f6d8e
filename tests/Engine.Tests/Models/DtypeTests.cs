using System.Text.Json.Nodes;
using LocalLlm.Models;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Models;

/// <summary>
/// Wherever a type is read, the spellings of PyTorch and of transformers are accepted; a name that is no type is refused.
/// </summary>
public sealed class DtypeTests
{
    [Theory]
    [InlineData("dtype", "float16")]
    [InlineData("dtype", "torch.float16")]
    [InlineData("torch_dtype", "torch.float16")]
    [InlineData("torch_dtype", "torch.half")]
    [InlineData("torch_dtype", "half")]
    public void A_configuration_may_write_it_in_every_way(string field, string name)
    {
        Assert.Equal(ModelDtype.Float16, Encoder(field, name).Dtype);
        Assert.Equal(ModelDtype.Float16, Generator(field, name).Dtype);
    }

    [Theory]
    [InlineData("torch.bfloat16", nameof(ModelDtype.BFloat16))]
    [InlineData("torch.float", nameof(ModelDtype.Float32))]
    [InlineData("torch.float32", nameof(ModelDtype.Float32))]
    [InlineData("auto", null)]
    public void The_prefix_changes_nothing(string name, string? expected)
    {
        Assert.Equal(expected, Encoder("dtype", name).Dtype?.ToString());
        Assert.Equal(expected, Generator("dtype", name).Dtype?.ToString());
    }

    [Theory]
    [InlineData("torch.float8_e4m3fn")]
    [InlineData("float64")]
    [InlineData("torch.torch.float16")]
    [InlineData("Float16")]
    [InlineData("")]
    public void An_unknown_name_is_refused_by_name(string name)
    {
        foreach (var read in (Action[])[() => Encoder("torch_dtype", name), () => Generator("dtype", name)])
        {
            var failure = Assert.Throws<EngineException>(read);
            Assert.Equal(EngineErrorKind.ModelFolder, failure.Kind);
            Assert.Contains("dtype", failure.Message, StringComparison.Ordinal);
            Assert.Contains($"'{name}'", failure.Message, StringComparison.Ordinal);
        }
    }

    private static EncoderConfig Encoder(string field, string name)
    {
        using var folder = Changed(TestPaths.TinyM3, field, name);
        return EncoderConfig.Load(folder.Path);
    }

    private static ModelConfig Generator(string field, string name)
    {
        using var folder = Changed(TestPaths.TinyR1, field, name);
        return ModelConfig.Load(folder.Path);
    }

    private static TemporaryFolder Changed(string model, string field, string name)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(model, "config.json")))!.AsObject();
        config.Remove("dtype");
        config.Remove("torch_dtype");
        config[field] = name;
        var folder = new TemporaryFolder();
        folder.Write("config.json", config.ToJsonString());
        return folder;
    }
}
