using System.Runtime.InteropServices;
using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Tests.Ops;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Layers;

/// <summary>A linear method that offers only the plain product runs every layer that a method with fused products runs.</summary>
public sealed class LinearMethodTests : IDisposable
{
    private const int Hidden = 24;
    private const int Inner = 40;
    private readonly TemporaryFolder _folder = new();
    private readonly CpuOps _ops = new();

    public LinearMethodTests()
    {
        TorchLibrary.EnsureLoaded();
        var random = new Random(1);
        (string Name, long[] Shape)[] tensors =
        [
            ("norm.weight", [Hidden]),
            ("mlp.gate_proj.weight", [Inner, Hidden]), ("mlp.gate_proj.bias", [Inner]),
            ("mlp.up_proj.weight", [Inner, Hidden]), ("mlp.up_proj.bias", [Inner]),
            ("mlp.down_proj.weight", [Hidden, Inner]), ("mlp.down_proj.bias", [Hidden]),
            ("head.weight", [Inner, Hidden]),
        ];
        var specs = tensors.Select(tensor => new TensorSpec(tensor.Name, SafetensorsDtype.F32, tensor.Shape));
        using var writer = SafetensorsWriter.Create(_folder["model.safetensors"], [.. specs]);
        foreach (var (_, shape) in tensors)
            writer.Write(MemoryMarshal.AsBytes<float>(Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => random.NextSingle() - 0.5f).ToArray()));
        writer.Complete();
    }

    public void Dispose()
    {
        _ops.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(9)]
    public void A_plain_product_composes_to_what_fused_ones_give(int rows)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var x = randn(rows, Hidden);
        var (plainResidual, plainLogits) = Run(new PlainMethod(), x);
        var (residual, logits) = Run(UnquantizedLinearMethod.Instance, x);
        OpsScenarios.AssertClose(residual, plainResidual, ScalarType.Float32);
        OpsScenarios.AssertClose(logits, plainLogits, ScalarType.Float32);
    }

    private (Tensor Residual, Tensor Logits) Run(ILinearMethod method, Tensor x)
    {
        using var registry = new WeightRegistry();
        var context = new LayerContext(_ops, new SingleRankCollectives(), registry, ScalarType.Float32) { LinearMethod = method };
        var norm = new RmsNorm(context, "norm", Hidden, 1e-6f);
        var mlp = new GatedMlp(context, "mlp", Hidden, Inner, bias: true);
        var head = new ParallelLmHead(context, "head.weight", Inner, Hidden);
        Load(registry);
        var residual = x.clone();
        using var metadata = new AttentionMetadata();
        mlp.AddTo(residual, norm, new(metadata, []));
        return (residual, head.Forward(residual, norm));
    }

    private void Load(WeightRegistry registry)
    {
        using var checkpoint = Checkpoint.Open(_folder.Path);
        WeightLoader.Load(registry, checkpoint, ScalarType.Float32, null, null, TestContext.Current.CancellationToken);
    }

    private sealed class PlainMethod : ILinearMethod
    {
        public ILinear Create(LayerContext context, IReadOnlyList<WeightSpec> weights, IReadOnlyList<WeightSpec> biases, LinearRole role)
        {
            var weight = context.Weights.Add(weights, (tensor, _) => context.Ops.ToDevice(tensor));
            return new Linear(context, weight, biases.Count == 0 ? null : context.Weights.Add(biases, (tensor, _) => context.Ops.ToDevice(tensor)));
        }

        public LoadedWeight<T> AddValues<T>(LayerContext context, WeightSpec weight, Func<Tensor, WeightPacking, T> pack)
            where T : class, IDisposable => context.Weights.Add([weight], pack);

        private sealed class Linear(LayerContext context, LoadedWeight<Tensor> weight, LoadedWeight<Tensor>? bias) : ComposedLinear(context)
        {
            public override Tensor Forward(Tensor x) => nn.functional.linear(x, weight.Value, bias?.Value);
        }
    }
}
