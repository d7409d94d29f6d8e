using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Models;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// A device that implements nothing but <see cref="IDeviceOps"/> runs every golden model: the CPU, and a GPU without its fused operations
/// (recorded steps and sampling on the card stay). Devices are registered for the whole process, so no other test may run meanwhile.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class PrimitiveOpsTests : IDisposable
{
    private const float Tolerance = 1e-4f;
    private const string Cpu = "primitive-cpu";
    private const string Cuda = "primitive-cuda";

    private readonly IDisposable[] _devices =
    [
        DeviceRegistry.Register(new(Cpu, (_, _) => new PrimitiveOps(new CpuOps()))),
        DeviceRegistry.Register(new(Cuda, (ordinal, settings) => new PrimitiveOps(new CudaOps(ordinal, settings.Priority, stepsInFlight: settings.StepsInFlight))) { HasOrdinals = true }),
    ];

    public PrimitiveOpsTests() => TorchLibrary.EnsureLoaded();

    public static TheoryData<string, string> Runs =>
        [.. from device in (string[])[Cpu, Cuda] from model in GoldenLogitsTests.Decoders select (device, model.Data)];

    public void Dispose()
    {
        foreach (var device in _devices)
            device.Dispose();
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void Logits_are_those_of_the_reference(string device, string name)
    {
        SkipWithoutCard(device);
        var folder = TestPaths.Shared("goldens", "random", name);
        using var model = new BareModel(folder, DeviceRegistry.Create(device), ScalarType.Float32);
        foreach (var (ids, expected, _, _) in new GoldenFile(folder).Cases)
            Assert.True(expected.Zip(model.LastLogits(ids)).Max(pair => MathF.Abs(pair.First - pair.Second)) < Tolerance);
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public async Task Greedy_ids_are_those_of_the_reference(string device, string name)
    {
        SuiteExecutor.SkipInAnotherProcess();
        SkipWithoutCard(device);
        var folder = TestPaths.Shared("goldens", "random", name);
        var options = new EngineOptions { ModelPath = folder, Dtype = "float32", Device = device, SkipTokenizerInit = true };
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        var cases = new GoldenFile(folder).Cases.Where(golden => golden.MinMargin > 1e-4).ToArray();
        var requests = cases.Select(golden => GenerationRequest.FromTokenIds(golden.Ids,
            new() { Temperature = 0, MaxTokens = golden.Greedy.Length, IgnoreEos = true }));
        var results = await engine.GenerateBatchAsync([.. requests], cancellationToken: TestContext.Current.CancellationToken);
        foreach (var (golden, result) in cases.Zip(results))
            Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
    }

    [Theory]
    [InlineData(Cpu)]
    [InlineData(Cuda)]
    public async Task An_encoder_embeds_as_on_the_cpu(string device)
    {
        SkipWithoutCard(device);
        string[] texts = ["one", "two words", "北京 and a longer text of some more words"];
        var expected = await Embed("cpu");
        foreach (var (one, other) in expected.Zip(await Embed(device)))
            Assert.True(TextEmbedding.DenseScore(one, other) > 1 - Tolerance);

        async Task<IReadOnlyList<TextEmbedding>> Embed(string on)
        {
            await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Dtype = "float32",
                Device = on }, cancellationToken: TestContext.Current.CancellationToken);
            return await engine.EmbedAsync(texts, cancellationToken: TestContext.Current.CancellationToken);
        }
    }

    private static void SkipWithoutCard(string device)
    {
        if (device == Cuda && !CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
    }
}
