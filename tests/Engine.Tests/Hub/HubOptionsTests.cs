using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class HubOptionsTests
{
    [Fact]
    public void Without_variables_it_is_hugging_face_in_the_home_folder()
    {
        var options = Options();
        Assert.Equal((HubKind.HuggingFace, "https://huggingface.co", null, "/home/u/.cache/huggingface/hub", false), (options.Hub, options.Endpoint, options.Token, options.CacheFolder, options.Offline));
        Assert.Equal("/home/u/.cache/modelscope/hub/models", HubOptions.FromEnvironment(HubKind.ModelScope, Variables()).CacheFolder);
    }

    [Theory]
    [InlineData("/home/u/.cache/huggingface/hub")]
    [InlineData("/x/huggingface/hub", "XDG_CACHE_HOME=/x")]
    [InlineData("/y/hub", "XDG_CACHE_HOME=/x", "HF_HOME=/y")]
    [InlineData("/home/u/h/hub", "HF_HOME=~/h")]
    [InlineData("/data/m/hub", "HF_HOME=$D/m", "D=/data")]
    [InlineData("/z", "HF_HOME=/y", "HF_HUB_CACHE=/z")]
    [InlineData("/w", "HF_HOME=/y", "HUGGINGFACE_HUB_CACHE=/w")]
    [InlineData("/y/hub", "HF_HOME=/y", "HF_HUB_CACHE=")]
    public void The_cache_is_where_huggingface_hub_has_it(string expected, params string[] variables) =>
        Assert.Equal(expected, Options(variables).CacheFolder);

    [Theory]
    [InlineData(HubKind.ModelScope, "LOCALLLM_USE_MODELSCOPE=1")]
    [InlineData(HubKind.ModelScope, "LOCALLLM_USE_MODELSCOPE=yes")]
    [InlineData(HubKind.ModelScope, "VLLM_USE_MODELSCOPE=True")]
    [InlineData(HubKind.ModelScope, "VLLM_USE_MODELSCOPE=on")]
    [InlineData(HubKind.HuggingFace, "VLLM_USE_MODELSCOPE=False")]
    [InlineData(HubKind.HuggingFace, "LOCALLLM_USE_MODELSCOPE=0")]
    public void The_environment_chooses_the_hub_unless_the_caller_does(HubKind expected, string variable)
    {
        Assert.Equal(expected, Options(variable).Hub);
        Assert.Equal(HubKind.HuggingFace, HubOptions.FromEnvironment(HubKind.HuggingFace, Variables(variable)).Hub);
    }

    [Fact]
    public void Modelscope_has_variables_of_its_own()
    {
        var options = Options("LOCALLLM_USE_MODELSCOPE=1", "MODELSCOPE_DOMAIN=www.modelscope.ai", "MODELSCOPE_API_TOKEN= t ", "MODELSCOPE_CACHE=/m", "HF_TOKEN=no");
        Assert.Equal(("https://www.modelscope.ai", "t", "/m/models"), (options.Endpoint, options.Token, options.CacheFolder));
        Assert.Equal("http://127.0.0.1:9", Options("VLLM_USE_MODELSCOPE=1", "MODELSCOPE_DOMAIN=http://127.0.0.1:9/").Endpoint);
    }

    [Theory]
    [InlineData("HF_HUB_OFFLINE=1", true)]
    [InlineData("TRANSFORMERS_OFFLINE=true", true)]
    [InlineData("HF_HUB_OFFLINE=0", false)]
    public void Offline_mode_is_huggingface_hubs(string variable, bool expected) => Assert.Equal(expected, Options(variable).Offline);

    [Fact]
    public void The_token_is_the_variables_then_the_files()
    {
        using var folder = new TemporaryFolder();
        folder.Write("token", " from-file\n");
        folder.Write("other", "from-other");
        Assert.Equal("from-file", Options("HF_HOME=" + folder.Path).Token);
        Assert.Equal("from-other", Options("HF_HOME=" + folder.Path, "HF_TOKEN_PATH=" + folder["other"]).Token);
        Assert.Equal("given", Options("HF_HOME=" + folder.Path, "HF_TOKEN=given\r\n").Token);
        Assert.Equal("from-file", Options("HF_HOME=" + folder.Path, "HF_TOKEN= ").Token);
        Assert.Null(Options("HF_HOME=" + folder.Path, "HF_TOKEN=given", "HF_HUB_DISABLE_IMPLICIT_TOKEN=1").Token);
        Assert.Null(Options("HF_HOME=" + folder["nowhere"]).Token);
    }

    [Fact]
    public void An_endpoint_may_end_with_a_slash() => Assert.Equal("https://hf-mirror.com", Options("HF_ENDPOINT=https://hf-mirror.com/").Endpoint);

    private static HubOptions Options(params string[] variables) => HubOptions.FromEnvironment(null, Variables(variables));

    private static Func<string, string?> Variables(params string[] variables)
    {
        var all = variables.Append("HOME=/home/u").ToDictionary(variable => variable.Split('=')[0], variable => variable[(variable.IndexOf('=', StringComparison.Ordinal) + 1)..], StringComparer.Ordinal);
        return name => all.GetValueOrDefault(name);
    }
}
