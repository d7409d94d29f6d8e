using System.Text.Json;
using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.XlmRoberta;

public sealed class XlmRobertaTests
{
    public enum Way
    {
        Plain,
        Fast,
    }

    [Theory]
    [InlineData(Way.Plain)]
    [InlineData(Way.Fast)]
    public void Hidden_states_are_those_of_the_reference_alone_and_in_a_batch(Way way)
    {
        var folder = TestPaths.Shared("goldens", "random", "xlm-roberta");
        TorchLibrary.EnsureLoaded();
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        var registry = new WeightRegistry();
        IDeviceOps ops = way == Way.Plain ? new TorchOps(CPU) : new CpuOps();
        using var model = ModelRegistry.Create(EncoderConfig.Load(folder),
            new LayerContext(ops, new SingleRankCollectives(), registry, ScalarType.Float32));
        using (var checkpoint = Checkpoint.Open(folder))
            WeightLoader.Load(registry, checkpoint, ScalarType.Float32, null, null, TestContext.Current.CancellationToken);
        using var scope = NewDisposeScope();
        using var noGradient = inference_mode();
        foreach (var one in golden.RootElement.GetProperty("cases").EnumerateArray())
        {
            var states = model.Forward([Ids(one.GetProperty("ids"))]);
            AssertClose(one.GetProperty("cls"), states[0]);
            if (one.TryGetProperty("last_hidden_state", out var all) && all.ValueKind == JsonValueKind.Array)
                AssertClose(all, states.flatten());
        }

        var texts = golden.RootElement.GetProperty("batch").GetProperty("ids").EnumerateArray().Select(Ids).Select(ids => ids.Where(id => id != 1).ToArray()).ToArray();
        var batch = model.Forward(texts);
        var first = 0L;
        foreach (var (text, cls) in texts.Zip(golden.RootElement.GetProperty("batch").GetProperty("cls").EnumerateArray()))
        {
            AssertClose(cls, batch[first]);
            first += text.Length;
        }
    }

    private static int[] Ids(JsonElement list) => [.. list.EnumerateArray().Select(id => id.GetInt32())];

    private static void AssertClose(JsonElement expected, Tensor actual)
    {
        var values = Flat(expected).ToArray();
        var found = actual.data<float>().ToArray();
        Assert.Equal(values.Length, found.Length);
        Assert.True(values.Zip(found).Max(pair => MathF.Abs(pair.First - pair.Second)) < 1e-4f);
    }

    private static IEnumerable<float> Flat(JsonElement list) => list.ValueKind == JsonValueKind.Array ? list.EnumerateArray().SelectMany(Flat) : [list.GetSingle()];
}
