using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Ops;

/// <summary>Which devices ranks get. Device kinds are registered for the whole process, so no other test may run meanwhile.</summary>
[Collection(nameof(RunsAlone))]
public sealed class DeviceOptionsTests
{
    private const string Kind = "card";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("auto", "cpu,gpu", 2, "devices names 'gpu'; allowed: cpu, cuda, cuda:N.")]
    [InlineData("auto", "auto", 1, "devices names 'auto'; allowed: cpu, cuda, cuda:N.")]
    [InlineData("auto", "cpu,", 2, "devices has no name at place 2 of 2; allowed: cpu, cuda, cuda:N.")]
    [InlineData("auto", "<null>,cpu", 2, "devices has no name at place 1 of 2; allowed: cpu, cuda, cuda:N.")]
    [InlineData("auto", "cpu,cuda:0", 2, "devices names devices of several kinds (cpu, cuda:0); name devices of one kind, one for each rank.")]
    [InlineData("cuda:3", "cuda:0,cuda:1", 2, "device is 'cuda:3', but devices names cuda:0, cuda:1; set one of them: device for all ranks, or devices with one for each.")]
    [InlineData("cpu", "cuda:0", 1, "device is 'cpu', but devices names cuda:0; set one of them: device for all ranks, or devices with one for each.")]
    [InlineData("auto", "cpu,cpu", 1, "devices names 2 devices, but there is 1 rank (1 x 1); name one for each.")]
    [InlineData("gpu", null, 1, "device is 'gpu'; allowed: auto, cpu, cuda, cuda:N.")]
    public void Devices_that_say_nothing_clear_are_refused_by_name(string device, string? devices, int ranks, string says)
    {
        var options = new EngineOptions
        {
            ModelPath = TestPaths.TinyR1, Device = device, TensorParallel = ranks, Devices = devices?.Split(',').Select(name => name == "<null>" ? null! : name).ToArray(),
        };
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.Validate(options));
        Assert.Equal((EngineErrorKind.InvalidOptions, says), (refusal.Kind, refusal.Message));
    }

    [Theory]
    [InlineData("auto", "cpu,cpu")]
    [InlineData("cpu", "cpu,cpu")]
    [InlineData("cuda", "cuda:0,cuda")]
    public void The_same_device_may_be_named_twice(string device, string devices) => EngineOptionsValidator.Validate(
        new() { ModelPath = TestPaths.TinyR1, Device = device, TensorParallel = 2, Devices = devices.Split(',') });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_named_device_that_is_not_there_is_refused_before_any_file_is_read(bool isListed)
    {
        using var registration = DeviceRegistry.Register(new(Kind, (_, _) => new CpuOps())
        {
            HasOrdinals = true,
            Require = ordinal => _ = ordinal < 2 ? 0 : throw new EngineException(EngineErrorKind.Environment, $"there is no {Kind}:{ordinal}"),
        });
        var options = new EngineOptions { ModelPath = "/no/where", TensorParallel = 2, Devices = isListed ? [$"{Kind}:0", $"{Kind}:9"] : null, Device = isListed ? "auto" : $"{Kind}:9" };
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.CheckFit(options));
        Assert.Equal((EngineErrorKind.Environment, $"there is no {Kind}:9"), (refusal.Kind, refusal.Message));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(1, 3)]
    public async Task An_encoder_is_loaded_on_the_devices_that_are_named(params int[] ordinals)
    {
        var opened = new List<int>();
        using var registration = DeviceRegistry.Register(new(Kind, (ordinal, _) =>
        {
            lock (opened)
                opened.Add(ordinal);
            return new CpuOps();
        }) { HasOrdinals = true });
        await using var engine = await EmbeddingEngine.LoadAsync(
            new() { ModelPath = TestPaths.TinyM3, TensorParallel = ordinals.Length, Devices = [.. ordinals.Select(ordinal => $"{Kind}:{ordinal}")] }, cancellationToken: Token);
        Assert.Single(await engine.EmbedAsync(["a text"], cancellationToken: Token));
        Assert.Equal(ordinals, opened.Order());
    }

    [Theory]
    [InlineData("card,card:0", 4)]
    [InlineData("card:0,card:1", 2)]
    public void Ranks_share_the_memory_of_one_card_whether_or_not_its_number_is_said(string devices, int part)
    {
        const long available = 1L << 30;
        using var registration = DeviceRegistry.Register(new(Kind, (_, _) => new MeasuredCpu(available)) { HasOrdinals = true });
        var plan = LlmEngine.PlanMemory(new() { ModelPath = TestPaths.TinyR1, Dtype = "float32", TensorParallel = 2, Devices = devices.Split(',') });
        Assert.Equal(available / part, plan.BudgetBytes);
    }
}
