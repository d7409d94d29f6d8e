using LocalLlm.Hub;
using LocalLlm.Tests.Weights;
using Xunit;

namespace LocalLlm.Tests.Hub;

public class ModelReferenceTests
{
    [Theory]
    [InlineData("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", null)]
    [InlineData("org/name@v1.0", "org/name", "v1.0")]
    [InlineData("org/name@refs/pr/3", "org/name", "refs/pr/3")]
    [InlineData("o_1/n.2-3_4", "o_1/n.2-3_4", null)]
    public void Org_and_name_are_a_repository(string text, string repository, string? revision)
    {
        var reference = ModelReference.Parse(text);
        Assert.Equal((null, repository, revision, text), (reference.Folder, reference.Repository, reference.Revision, reference.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData("name")]
    [InlineData("/no/where")]
    [InlineData("/nowhere")]
    [InlineData("./x")]
    [InlineData("../x")]
    [InlineData("a/b/c")]
    [InlineData("a/")]
    [InlineData("/a")]
    [InlineData("a//b")]
    [InlineData("a/...")]
    [InlineData("a/.b")]
    [InlineData("a/b.")]
    [InlineData("a/b.git")]
    [InlineData("a--b/c")]
    [InlineData("a/b..c")]
    [InlineData("a b/c")]
    [InlineData("~/models")]
    [InlineData("C:/models")]
    [InlineData("a/b\n")]
    [InlineData("a/b@")]
    [InlineData("a/b@../x")]
    [InlineData("a/b@x y")]
    [InlineData("https://huggingface.co/a/b")]
    [InlineData("ä/b")]
    public void Anything_else_is_one_error(string text)
    {
        var failure = Assert.Throws<EngineException>(() => ModelReference.Parse(text));
        Assert.Equal((EngineErrorKind.InvalidOptions, "model"), (failure.Kind, failure.Parameter));
        Assert.Contains("org/name", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_exists_wins_and_is_given_back_as_it_is()
    {
        using var folder = new TemporaryFolder();
        var reference = ModelReference.Parse(folder.Path);
        Assert.Equal((folder.Path, null), (reference.Folder, reference.Repository));
        Assert.Equal(folder.Path, await ModelHub.ResolveAsync(reference, cancellationToken: TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_revision_is_given_once()
    {
        using var cache = new TemporaryFolder();
        var failure = await HubKit.FailAsync(new() { CacheFolder = cache.Path, Offline = true, Revision = "b" }, "org/name@a");
        Assert.Equal((EngineErrorKind.InvalidOptions, "revision"), (failure.Kind, failure.Parameter));
        Assert.Equal("revision", (await HubKit.FailAsync(new() { CacheFolder = cache.Path, Offline = true, Revision = "../../x" }, "org/name")).Parameter);
    }
}
