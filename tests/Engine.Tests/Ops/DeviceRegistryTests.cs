using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Tests.Engine;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Device kinds are registered for the whole process, so no other test may run meanwhile.</summary>
[Collection(nameof(RunsAlone))]
public sealed class DeviceRegistryTests
{
    [Fact]
    public void A_vendor_writes_fifteen_primitives_at_most()
    {
        var members = typeof(IDeviceOps).GetMembers().Where(member => member is not System.Reflection.MethodInfo { IsSpecialName: true } and not System.Reflection.MethodInfo { IsAbstract: false });
        Assert.InRange(members.Count(), 1, 15);
    }

    [Fact]
    public void A_registered_device_is_named_opened_and_forgotten()
    {
        TorchLibrary.EnsureLoaded();
        var opened = new List<int>();
        using (DeviceRegistry.Register(new("other", (ordinal, _) =>
        {
            opened.Add(ordinal);
            return new TorchOps(CPU);
        })
        { HasOrdinals = true }))
        {
            Assert.Equal("auto, cpu, cuda, cuda:N, other, other:N",
                string.Join(", ", DeviceRegistry.Allowed.Split(", ").Order(StringComparer.Ordinal)));
            Assert.True(DeviceRegistry.IsName("other") && DeviceRegistry.IsName("other:3") && !DeviceRegistry.IsName("other:-1")
                && !DeviceRegistry.IsName("other:"));
            Assert.IsType<TorchOps>(DeviceRegistry.Create("other"));
            Assert.IsType<TorchOps>(DeviceRegistry.Create("other:3"));
            Assert.Throws<ArgumentException>(() => DeviceRegistry.Register(new("other", (_, _) => new TorchOps(CPU))));
        }

        Assert.Equal([0, 3], opened);
        Assert.False(DeviceRegistry.IsName("other"));
        Assert.Equal(EngineErrorKind.InvalidOptions, Assert.Throws<EngineException>(() => DeviceRegistry.Create("other")).Kind);
    }

    [Fact]
    public void The_built_in_names_are_those_of_the_option()
    {
        Assert.Equal("auto, cpu, cuda, cuda:N", DeviceRegistry.Allowed);
        foreach (var name in (string[])["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
            Assert.True(DeviceRegistry.IsName(name), name);
        foreach (var name in (string[])["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "CPU", "auto:0"])
            Assert.False(DeviceRegistry.IsName(name), name);
    }
}
