using System.Text.Json;
using LocalLlm.Interop;
using LocalLlm.Ops.Cuda;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>The embedding engine on a GPU, compared with the references.</summary>
public sealed class CudaEmbeddingTests
{
    public CudaEmbeddingTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
    }

    [Theory]
    [InlineData("float32", 1e-4)]
    [InlineData("bfloat16", 2e-2)]
    [InlineData("float16", 5e-3)]
    public async Task Vectors_are_those_of_the_reference(string dtype, double tolerance)
    {
        using var golden = JsonDocument.Parse(File.ReadAllBytes(TestPaths.Shared("goldens", "trained", "tiny-m3.json")));
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cuda", Dtype = CardTypes.NameOf(dtype) }, cancellationToken: TestContext.Current.CancellationToken);
        var texts = golden.RootElement.GetProperty("texts").EnumerateArray().ToArray();
        var made = await engine.EmbedAsync([.. texts.Select(text => text.GetProperty("text").GetString()!)], EmbeddingKinds.Dense | EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector, cancellationToken: TestContext.Current.CancellationToken);
        foreach (var (text, embedding) in texts.Zip(made))
        {
            var cosine = text.GetProperty("dense").EnumerateArray().Zip(embedding.Dense!).Sum(pair => pair.First.GetDouble() * pair.Second);
            Assert.True(1 - cosine < tolerance, $"{1 - cosine}");
            AssertRow(text.TryGetProperty("colbert", out var all) ? all[0] : text.GetProperty("colbert_first"), embedding.MultiVector![0], tolerance);
            AssertRow(text.TryGetProperty("colbert", out all) ? all[all.GetArrayLength() - 1] : text.GetProperty("colbert_last"), embedding.MultiVector[^1], tolerance);
            var alone = (await engine.EmbedAsync([text.GetProperty("text").GetString()!], cancellationToken: TestContext.Current.CancellationToken))[0];
            Assert.True(1 - TextEmbedding.DenseScore(alone, embedding) < tolerance);
            foreach (var token in text.GetProperty("sparse").EnumerateObject())
            {
                var weight = embedding.Sparse!.GetValueOrDefault(int.Parse(token.Name, System.Globalization.CultureInfo.InvariantCulture));
                Assert.True(Math.Abs(token.Value.GetDouble() - weight) < 10 * tolerance, $"{token.Name}: {token.Value} and {weight}");
            }
        }
    }

    private static void AssertRow(JsonElement expected, IReadOnlyList<float> actual, double tolerance) =>
        Assert.True(1 - expected.EnumerateArray().Zip(actual).Sum(pair => pair.First.GetDouble() * pair.Second) < tolerance);
}
