using System.Globalization;
using System.Runtime.InteropServices;
using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Tests.Ops;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Layers;

/// <summary>
/// A product by a stored matrix of 8-bit floats equals the product by each element times its block's scale, whatever slice of the matrix a
/// rank holds.
/// </summary>
public sealed class Fp8LinearMethodTests : IDisposable
{
    private const int Rows = 24; // of a block
    private const int Columns = 16;
    private const int In = 70;
    private static readonly (string Name, int Out)[] s_matrices = [("q", 100), ("k", 41), ("v", 41)];
    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, float[,]> _values = [];
    private readonly List<CpuOps> _devices = [];
    private readonly DisposeScope _scope;

    public Fp8LinearMethodTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        manual_seed(5);
        Write(_ => { });
    }

    public static TheoryData<string, bool> Slices
    {
        get
        {
            var data = new TheoryData<string, bool>();
            // Each slice is name:dimension:start:length; several slices are joined along the outputs.
            foreach (var slice in (string[])["q:0:0:100", "q:0:24:24", "q:0:10:40", "q:0:47:1", "q:1:0:35", "q:1:35:35", "q:1:17:13", "k:1:5:64",
                "q:0:0:100|k:0:0:41|v:0:0:41", "q:0:50:50|k:0:20:21|v:0:20:21", "q:1:30:40|k:1:30:40"])
            {
                data.Add(slice, false);
                data.Add(slice, true);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Slices))]
    public void A_slice_has_the_scales_of_its_own_elements(string slice, bool plain)
    {
        var specs = slice.Split('|').Select(Spec).ToArray();
        using var registry = new WeightRegistry();
        var context = Context(registry, plain);
        var linear = context.LinearMethod.Create(context, specs, [], LinearRole.Other);
        Load(registry);
        var matrix = Joined(specs);
        foreach (var rows in (int[])[1, 3, 4, 21])
        {
            var x = randn(rows, matrix.size(1));
            OpsScenarios.AssertNear(x.matmul(matrix.t()), linear.Forward(x), 2e-6);
        }

        Assert.Equal(specs.Sum(spec => spec.SliceElements), registry.Bytes(ScalarType.Float32) - (4 * ScaleElements(specs)));
        Assert.Equal(registry.Bytes(ScalarType.Float32), registry.Bytes(ScalarType.Float32, WeightPacking.DecodeCopies));
    }

    [Theory]
    [InlineData("q:0:10:40")]
    [InlineData("k:1:5:64")]
    public void A_layer_gets_the_values_of_a_slice_in_the_activation_type(string slice)
    {
        var spec = Spec(slice);
        using var registry = new WeightRegistry();
        var context = Context(registry, plain: true);
        var values = context.LinearMethod.AddValues(context, spec, (tensor, _) => context.Ops.ToDevice(tensor));
        Load(registry);
        Assert.Equal(Joined([spec]).data<float>().ToArray(), values.Value.data<float>().ToArray());
        Assert.Equal(4 * (spec.SliceElements + ScaleElements([spec])), registry.Bytes(ScalarType.Float32));
    }

    [Fact]
    public void What_is_released_can_be_loaded_again()
    {
        using var registry = new WeightRegistry();
        var context = Context(registry, plain: false);
        var linear = context.LinearMethod.Create(context, [Spec("q:0:0:100")], [], LinearRole.Other);
        var x = randn(2, In);
        Load(registry);
        var first = linear.Forward(x);
        registry.Release();
        Assert.Throws<InvalidOperationException>(() => linear.Forward(x));
        Load(registry);
        Assert.Equal(first.data<float>().ToArray(), linear.Forward(x).data<float>().ToArray());
    }

    [Fact]
    public void Heads_and_kept_modules_are_read_as_an_unquantised_model_stores_them()
    {
        using var registry = new WeightRegistry();
        var context = Context(registry, plain: true, kept: "k");
        context.LinearMethod.Create(context, [Spec("k:0:0:41")], [], LinearRole.Other);
        context.LinearMethod.Create(context, [Spec("q:0:0:100")], [], LinearRole.Head);
        context.LinearMethod.AddValues(context, Spec("k:0:0:41"), (tensor, _) => context.Ops.ToDevice(tensor));
        Assert.All(registry.Groups, group => Assert.Equal(WeightType.Activation, group.Type));
        Assert.Equal(3, registry.Groups.Count);
    }

    [Fact]
    public void Joined_matrices_are_quantised_together_or_not_at_all()
    {
        using var registry = new WeightRegistry();
        var context = Context(registry, plain: true, kept: "k");
        var error = Assert.Throws<EngineException>(() => context.LinearMethod.Create(context, [Spec("q:0:0:100"), Spec("k:0:0:41")], [], LinearRole.Qkv));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.Contains("quantization_config: k is among the modules that are not quantised, and q, which", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.PositiveInfinity, "Infinity")]
    [InlineData(-0.5f, "-0.5")]
    [InlineData(1.2e18f, "1.2E+18")]
    public void Invalid_scales_are_refused_in_one_error(float scale, string said)
    {
        Write(tensors => tensors["q.weight_scale_inv"].Scales![3] = tensors["v.weight_scale_inv"].Scales![0] = scale);
        var error = Refused();
        Assert.Contains($"q.weight_scale_inv holds {said}, wanted scales from 0 to 2^60", error, StringComparison.Ordinal);
        Assert.Contains($"v.weight_scale_inv holds {said}", error, StringComparison.Ordinal);
        Assert.DoesNotContain("k.weight", error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_exponent_that_kernels_cannot_multiply_by_is_refused()
    {
        // This is byte 200 of the exponents' format.
        Write(tensors => tensors["k.weight_scale_inv"].Scales![1] = MathF.ScaleB(1, 200 - 127));
        Assert.Contains("k.weight_scale_inv holds 9.444733E+21, wanted scales from 0 to 2^60", Refused(), StringComparison.Ordinal);
    }

    [Fact]
    public void NaN_elements_are_refused_with_the_name_of_their_matrix()
    {
        Write(tensors => tensors["k.weight"].Elements![7] = 0xFF);
        Assert.Equal("model.safetensors: k.weight holds NaN, wanted numbers", Refused());
    }

    [Fact]
    public void Missing_or_misshaped_scales_and_wrong_element_types_are_reported_together()
    {
        Write(tensors =>
        {
            tensors.Remove("q.weight_scale_inv");
            tensors["k.weight_scale_inv"] = tensors["k.weight_scale_inv"] with { Shape = [5, 2] };
            tensors["v.weight"] = tensors["v.weight"] with { Dtype = SafetensorsDtype.F8E5M2 };
        });
        var error = Refused();
        Assert.Contains("3 problems", error, StringComparison.Ordinal);
        Assert.Contains("missing q.weight_scale_inv [5, 5]", error, StringComparison.Ordinal);
        Assert.Contains("k.weight_scale_inv has shape [5, 2], wanted [2, 5]", error, StringComparison.Ordinal);
        Assert.Contains("v.weight has type F8_E5M2, wanted F8_E4M3", error, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _devices.ForEach(device => device.Dispose());
        _scope.Dispose();
        _folder.Dispose();
    }

    private static WeightSpec Spec(string text)
    {
        var parts = text.Split(':');
        var numbers = parts[1..].Select(part => int.Parse(part, CultureInfo.InvariantCulture)).ToArray();
        return new($"{parts[0]}.weight", [s_matrices.Single(matrix => matrix.Name == parts[0]).Out, In], numbers[0], numbers[1], numbers[2]);
    }

    private static long ScaleElements(IEnumerable<WeightSpec> specs) => specs.Sum(spec =>
    {
        var (height, width) = spec.Dimension == 0 ? (Touched(spec, Rows), (In + Columns - 1) / Columns) : ((spec.Shape[0] + Rows - 1) / Rows, Touched(spec, Columns));
        return height * width;
    });

    private static long Touched(WeightSpec spec, int edge) => ((spec.Start + spec.Length - 1) / edge) - (spec.Start / edge) + 1;

    private LayerContext Context(WeightRegistry registry, bool plain, string? kept = null)
    {
        IDeviceOps ops = new TorchOps(CPU);
        if (!plain)
        {
            _devices.Add(new());
            ops = _devices[^1];
        }

        return new(ops, new SingleRankCollectives(), registry, ScalarType.Float32) { LinearMethod = new Fp8LinearMethod(Rows, Columns, "_scale_inv", name => name == kept) };
    }

    private Tensor Joined(IEnumerable<WeightSpec> specs) =>
        cat([.. specs.Select(spec => tensor(_values[spec.Name]).narrow(spec.Dimension, spec.Start, spec.Length))], 0).contiguous();

    private void Load(WeightRegistry registry)
    {
        registry.Ignore(_ => true);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        WeightLoader.Load(registry, checkpoint, ScalarType.Float32, null, null, TestContext.Current.CancellationToken);
    }

    private string Refused()
    {
        using var registry = new WeightRegistry();
        var context = Context(registry, plain: false);
        foreach (var (name, height) in s_matrices)
            context.LinearMethod.Create(context, [new WeightSpec($"{name}.weight", [height, In], 0, 0, height)], [], LinearRole.Other);
        var error = Assert.Throws<EngineException>(() => Load(registry));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        return error.Message;
    }

    // Every byte that encodes a number occurs. The scales have very different sizes and are stored as float32, bfloat16 and exponents.
    private void Write(Action<Dictionary<string, Stored>> change)
    {
        var random = new Random(2);
        var tensors = new Dictionary<string, Stored>();
        foreach (var (name, height) in s_matrices)
        {
            var (down, across) = ((height + Rows - 1) / Rows, (In + Columns - 1) / Columns);
            var dtype = name == "k" ? SafetensorsDtype.F8E8M0 : SafetensorsDtype.F32;
            var scales = Enumerable.Range(0, down * across).Select(_ => name == "k" ? MathF.ScaleB(1, random.Next(-12, 3)) : MathF.Exp((8 * random.NextSingle()) - 7)).ToArray();
            var elements = Enumerable.Range(0, height * In).Select(_ => (byte)random.Next(256)).Select(bits => (bits & 0x7F) == 0x7F ? (byte)1 : bits).ToArray();
            tensors[$"{name}.weight"] = new(SafetensorsDtype.F8E4M3, [height, In]) { Elements = elements };
            tensors[$"{name}.weight_scale_inv"] = new(dtype, [down, across]) { Scales = scales };
            var values = new float[height, In];
            for (var row = 0; row < height; row++)
            {
                for (var column = 0; column < In; column++)
                    values[row, column] = Float8.Values[elements[(row * In) + column]] * scales[(row / Rows * across) + (column / Columns)];
            }

            _values[$"{name}.weight"] = values;
        }

        change(tensors);
        using var writer = SafetensorsWriter.Create(_folder["model.safetensors"], [.. tensors.Select(tensor => new TensorSpec(tensor.Key, tensor.Value.Dtype, tensor.Value.Shape))]);
        foreach (var stored in tensors.Values)
            writer.Write(stored.Bytes);
        writer.Complete();
    }

    private sealed record Stored(SafetensorsDtype Dtype, long[] Shape)
    {
        public byte[]? Elements { get; init; }

        public float[]? Scales { get; init; }

        public byte[] Bytes => Elements ?? (Dtype == SafetensorsDtype.F8E8M0
            ? [.. Scales!.Select(scale => (byte)(Math.ILogB(scale) + 127))] : MemoryMarshal.AsBytes<float>(Scales).ToArray())[..(int)(Shape[0] * Shape[1] * (Dtype == SafetensorsDtype.F8E8M0 ? 1 : 4))];
    }
}
