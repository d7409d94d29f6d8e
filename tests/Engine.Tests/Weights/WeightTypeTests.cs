using System.Runtime.InteropServices;
using LocalLlm.Interop;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Weights;

/// <summary>One checkpoint may hold tensors of several types, each read as its registration says.</summary>
public sealed class WeightTypeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public WeightTypeTests()
    {
        TorchLibrary.EnsureLoaded();
        using var writer = SafetensorsWriter.Create(_folder["model.safetensors"], [
            new("float", SafetensorsDtype.F32, [2, 2]), new("half", SafetensorsDtype.F16, [2]),
                new("byte", SafetensorsDtype.I8, [2, 3]), new("eight", SafetensorsDtype.F8E4M3, [3])]);
        writer.Write(MemoryMarshal.AsBytes<float>([1, 2, 3, 4]));
        writer.Write(MemoryMarshal.AsBytes<Half>([(Half)0.5, (Half)(-2)]));
        writer.Write(MemoryMarshal.AsBytes<sbyte>([1, -2, 3, -4, 5, -128]));
        writer.Write([0x38, 0xB8, 0x7E]);
        writer.Complete();
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Each_tensor_is_loaded_as_its_own_type_says()
    {
        using var registry = new WeightRegistry();
        using var checkpoint = Checkpoint.Open(_folder.Path);
        var activation = registry.Add(WeightSpec.Whole("float", 2, 2), Keep);
        var scale = registry.Add(WeightSpec.Whole("half", 2) with { Type = WeightType.Converted(ScalarType.Float32) }, Keep);
        var elements = registry.Add([new WeightSpec("byte", [2, 3], 1, 1, 2) { Type = WeightType.AsStored(SafetensorsDtype.I8) }],
            (tensor, _) => Keep(tensor));
        var eight = registry.Add(WeightSpec.Whole("eight", 3) with { Type = WeightType.AsStored(SafetensorsDtype.F8E4M3) }, Keep);
        Load(registry, checkpoint);
        Assert.Equal(ScalarType.BFloat16, activation.Value.dtype);
        Assert.Equal([0.5f, -2], scale.Value.data<float>().ToArray());
        Assert.Equal<sbyte>([-2, 3, 5, -128], elements.Value.data<sbyte>().ToArray());
        Assert.Equal<byte>([0x38, 0xB8, 0x7E], eight.Value.data<byte>().ToArray());
        Assert.Equal((4 * 2) + (2 * 4) + 4 + 3, registry.Bytes(ScalarType.BFloat16));
    }

    [Theory]
    [InlineData(true, true, 12)]
    [InlineData(true, false, 20)]
    [InlineData(false, false, 20)]
    public void A_tensor_that_two_layers_keep_as_it_is_counts_once(bool first, bool second, long bytes)
    {
        using var registry = new WeightRegistry();
        registry.Add(WeightSpec.Whole("float", 2, 2), Keep, keepsLoaded: first);
        registry.Add(WeightSpec.Whole("float", 2, 2), Keep, keepsLoaded: second);
        // Another part of the same tensor.
        registry.Add(new WeightSpec("float", [2, 2], 0, 0, 1), Keep, keepsLoaded: true);
        Assert.Equal(bytes, registry.Bytes(ScalarType.BFloat16));
    }

    [Fact]
    public void A_tensor_of_another_type_is_refused_with_the_type_that_was_wanted()
    {
        using var registry = new WeightRegistry();
        using var checkpoint = Checkpoint.Open(_folder.Path);
        registry.Add(WeightSpec.Whole("byte", 2, 3), Keep);
        registry.Add(WeightSpec.Whole("float", 2, 2) with { Type = WeightType.AsStored(SafetensorsDtype.F8E4M3) }, Keep);
        registry.Ignore(_ => true);
        var error = Assert.Throws<EngineException>(() => WeightLoader.Check(registry, checkpoint, null));
        Assert.Contains("byte has type I8, wanted F32, F16 or BF16; float has type F32, wanted F8_E4M3", error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_released_can_be_loaded_again()
    {
        using var registry = new WeightRegistry();
        using var checkpoint = Checkpoint.Open(_folder.Path);
        var weight = registry.Add(WeightSpec.Whole("half", 2) with { Type = WeightType.Converted(ScalarType.Float32) }, Keep);
        registry.Ignore(_ => true);
        Assert.Contains("half is not loaded", Assert.Throws<InvalidOperationException>(() => weight.Value).Message,
            StringComparison.Ordinal);
        Load(registry, checkpoint);
        var first = weight.Value;
        registry.Release();
        Assert.True(first.IsInvalid);
        Assert.Throws<InvalidOperationException>(() => weight.Value);
        Load(registry, checkpoint);
        Assert.Equal([0.5f, -2], weight.Value.data<float>().ToArray());
    }

    [Fact]
    public void Joined_tensors_are_of_one_type()
    {
        using var registry = new WeightRegistry();
        Assert.Throws<ArgumentException>(() => registry.Add([WeightSpec.Whole("half", 2),
            WeightSpec.Whole("eight", 3) with { Type = WeightType.AsStored(SafetensorsDtype.F8E4M3) }], (tensor, _) => Keep(tensor)));
    }

    private static Tensor Keep(Tensor tensor) => tensor.clone().DetachFromDisposeScope();

    private static void Load(WeightRegistry registry, Checkpoint checkpoint) =>
        WeightLoader.Load(registry, checkpoint, ScalarType.BFloat16, null, null, TestContext.Current.CancellationToken);
}
