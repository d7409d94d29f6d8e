using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models;

public class GoldenLogitsTests
{
    private const float Tolerance = 1e-4f;

    public static TheoryData<string> Decoders => ["qwen2-tied", "qwen2-untied", "llama-rope-llama3", "llama-head-dim", "qwen3",
        "deepseek-v2-lite", "deepseek-v2-group", "deepseek-v3-no-q-lora", "deepseek-v3-yarn"];

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Float32_logits_are_those_of_the_reference(string name)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        TorchLibrary.EnsureLoaded();
        using var fast = new BareModel(folder, new CpuOps(), ScalarType.Float32);
        using var plain = new BareModel(folder, new TorchOps(CPU), ScalarType.Float32);
        foreach (var (ids, expected, _, _) in new GoldenFile(folder).Cases)
        {
            AssertClose(expected, plain.LastLogits(ids));
            AssertClose(expected, fast.LastLogits(ids));
        }
    }

    [Theory]
    [MemberData(nameof(Decoders))]
    public void Float32_logits_are_the_same_bits_in_chunks(string name)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        TorchLibrary.EnsureLoaded();
        using var model = new BareModel(folder, new CpuOps(), ScalarType.Float32);
        var ids = new GoldenFile(folder).Cases.Last().Ids;
        var whole = model.LastLogits(ids);
        foreach (var chunk in (int[])[1, 7, 64])
            Assert.Equal(whole, model.LastLogits(ids, chunk));
    }

    private static void AssertClose(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        Assert.True(expected.Zip(actual).Max(pair => MathF.Abs(pair.First - pair.Second)) < Tolerance);
    }
}
