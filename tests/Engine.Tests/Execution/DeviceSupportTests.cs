using System.Text;
using LocalLlm.Execution;
using LocalLlm.Models;
using LocalLlm.Tests.Models;
using LocalLlm.Tests.Models.Deepseek;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>What has run on CPUs only is refused on GPUs by name.</summary>
public class DeviceSupportTests
{
    [Fact]
    public void Weights_of_8_bits_and_DeepSeek_are_refused_on_GPUs_alone()
    {
        var (plain, quantised) = (Parse(ConfigSamples.Llama()), Parse(ConfigSamples.Llama(ConfigSamples.Fp8())));
        var deepseek = Parse(DeepseekFolder.Config().ToJsonString());
        DeviceSupport.Check(isCpu: false, "cuda:0", plain);
        foreach (var (config, what) in ((ModelConfig, string)[])[(quantised, "FP8 weights (quantization_config in config.json)"), (deepseek, "DeepseekV3ForCausalLM")])
        {
            DeviceSupport.Check(isCpu: true, "cpu", config);
            var error = Assert.Throws<EngineException>(() => DeviceSupport.Check(isCpu: false, "cuda:0", config));
            Assert.Equal((EngineErrorKind.InvalidOptions, "device"), (error.Kind, error.Parameter));
            Assert.Equal($"device is cuda:0, but this build runs {what} on CPUs only; set it to cpu.", error.Message);
        }
    }

    private static ModelConfig Parse(string json) => ModelConfig.Parse(Encoding.UTF8.GetBytes(json));
}
