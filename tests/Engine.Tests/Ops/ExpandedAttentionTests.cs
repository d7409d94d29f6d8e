using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using TorchSharp;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// Compares expanded latent attention, which computes keys and values chunk by chunk, with absorbed attention, and the CPU's version with
/// the plain one.
/// </summary>
public sealed class ExpandedAttentionTests : IDisposable
{
    private const int Positions = 1024;
    private readonly CpuOps _ops = new();
    private readonly CpuLatentOps _fast;
    private readonly TorchLatentOps _plain = new(CPU);
    private readonly DisposeScope _scope;

    public ExpandedAttentionTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        _fast = (CpuLatentOps)_ops.Features.Latent!;
        manual_seed(5);
    }

    // heads, rank, plain, rotary, value
    public static TheoryData<int, int, int, int, int> Shapes => new()
    {
        { 2, 512, 128, 64, 128 }, { 3, 20, 12, 6, 10 }, { 7, 33, 5, 2, 31 }, { 40, 48, 9, 4, 17 }, { 1, 64, 32, 16, 33 }, { 5, 16, 1, 2, 1 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Chunks_that_are_merged_agree_with_absorbed_attention(int heads, int rank, int plain, int rotary, int value)
    {
        using var layer = new Layer(_ops, Shape(heads, rank, plain, rotary, value), ScalarType.Float32, isFloat8: false);
        foreach (var step in Steps())
        {
            using (step)
            {
                var (queries, cache, weight) = layer.Run(step, _plain);
                var expected = _plain.Attention(queries, weight, cache, step, layer.Shape);
                foreach (var chunk in (int[])[31, 100, 5000])
                    AssertClose(expected, _plain.ExpandedAttention(queries, weight, cache, step, layer.Shape, chunk), ScalarType.Float32);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_cpus_agrees_with_the_plain_one(int heads, int rank, int plain, int rotary, int value)
    {
        foreach (var (type, isFloat8) in ((ScalarType, bool)[])[(ScalarType.Float32, false), (ScalarType.BFloat16, false), (ScalarType.BFloat16, true)])
        {
            using var layer = new Layer(_ops, Shape(heads, rank, plain, rotary, value), type, isFloat8);
            foreach (var step in Steps())
            {
                using (step)
                {
                    var (queries, cache, weight) = layer.Run(step, _fast);
                    using var plainWeight = _plain.Pack(layer.Projection, layer.Shape);
                    var expected = _plain.ExpandedAttention(queries, plainWeight, cache, step, layer.Shape, 64);
                    AssertClose(expected, _fast.Attention(queries, weight, cache, step, layer.Shape, _ => true), type);
                    // Some sequences of the step are expanded, the others absorbed.
                    AssertClose(expected, _fast.Attention(queries, weight, cache, step, layer.Shape, span => span.TokenCount % 2 == 0), type);
                }
            }
        }
    }

    [Fact]
    public void A_token_has_the_same_bits_however_a_prompt_was_cut_into_steps_that_expand_it()
    {
        using var layer = new Layer(_ops, Shape(3, 40, 16, 8, 24), ScalarType.Float32, isFloat8: false);
        var queries = randn(700, 3 * 24);
        var rows = randn(700, layer.Shape.RowWidth);
        var whole = Attend([700]);
        foreach (var cut in (int[][])[[1, 699], [256, 256, 188], [300, 33, 1, 366]])
            Assert.Equal(whole, Attend(cut));

        int[] Attend(int[] counts)
        {
            var (bits, first) = (new List<int>(), 0);
            foreach (var count in counts)
            {
                using var step = new AttentionMetadata();
                Append(step, first, count, [.. Enumerable.Range(0, 44)]);
                var own = queries.narrow(0, first, count).clone();
                var (_, cache, weight) = layer.Run(step, _fast, own, rows.narrow(0, first, count).clone());
                bits.AddRange(Bits(_fast.Attention(own, weight, cache, step, layer.Shape, _ => true)));
                first += count;
            }

            return [.. bits];
        }
    }

    [Fact]
    public void Many_new_tokens_are_expanded_in_bfloat16_and_never_in_float32()
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            using var layer = new Layer(_ops, Shape(2, 512, 128, 64, 128), type, isFloat8: false);
            using var step = new AttentionMetadata();
            Append(step, 0, 300, [.. Enumerable.Range(0, 20)]); // a prompt
            Append(step, 0, 1, [30]); // and a token
            var (queries, cache, weight) = layer.Run(step, _fast);
            var chosen = _fast.Attention(queries, weight, cache, step, layer.Shape);
            var wanted = _fast.Attention(queries, weight, cache, step, layer.Shape, span => type == ScalarType.BFloat16 && span.TokenCount > 1);
            var other = _fast.Attention(queries, weight, cache, step, layer.Shape, span => type == ScalarType.Float32 || span.TokenCount == 1);
            Assert.Equal(Bits(wanted), Bits(chosen));
            Assert.NotEqual(Bits(other), Bits(chosen));
        }
    }

    // With DeepSeek-V3's heads, expanding pays off from between 170 and 250 new tokens on behind a long context, and much earlier where
    // no tokens come before.
    [Theory]
    [InlineData(1, 1, false)]
    [InlineData(16, 16, false)]
    [InlineData(64, 64, true)]
    [InlineData(2048, 2048, true)]
    [InlineData(128, 16384, false)]
    [InlineData(512, 16384, true)]
    [InlineData(1, 16384, false)]
    public void What_is_expanded_depends_on_new_tokens_and_those_before(int tokens, int context, bool expanded) =>
        Assert.Equal(expanded, ExpandedAttention.Pays(new(0, tokens, context, 0), Shape(128, 512, 128, 64, 128)));

    public void Dispose()
    {
        _ops.Dispose();
        _scope.Dispose();
    }

    private static LatentAttentionShape Shape(int heads, int rank, int plain, int rotary, int value) =>
        new(heads, rank, plain, rotary, value, 1 / MathF.Sqrt(plain + rotary), true);

    private static int[] Bits(Tensor tensor) => [.. tensor.to(float32).data<float>().ToArray().Select(BitConverter.SingleToInt32Bits)];

    // A prompt in two steps, in blocks without order. The second step also holds a short prompt and a single token.
    private static IEnumerable<AttentionMetadata> Steps()
    {
        int[] table = [.. Enumerable.Range(0, 48).Select(block => 47 - block)];
        var first = new AttentionMetadata();
        Append(first, 0, 333, table);
        yield return first;
        var second = new AttentionMetadata();
        Append(second, 0, 21, [50, 49]);
        Append(second, 333, 280, table);
        Append(second, 0, 1, [60]);
        yield return second;
        var third = new AttentionMetadata();
        Append(third, 613, 1, table);
        Append(third, 21, 9, [50, 49]);
        yield return third;
    }

    private sealed class Layer : IDisposable
    {
        private readonly RotaryTable _rotary;
        private readonly Tensor _norm;
        private readonly KvLayerCache _cache;
        private readonly List<LatentWeight> _weights = [];

        public Layer(IDeviceOps ops, LatentAttentionShape shape, ScalarType type, bool isFloat8)
        {
            (Shape, Type) = (shape, type);
            var angles = arange(0, Positions).unsqueeze(1) * (1 / pow(tensor(10000f), arange(0, shape.RotaryDim, 2).to(float32) / shape.RotaryDim)).unsqueeze(0);
            _rotary = new(angles.cos(), angles.sin());
            _norm = randn(shape.Rank).to(type);
            Projection = (randn((long)shape.Heads * (shape.PlainDim + shape.ValueDim), shape.Rank) / MathF.Sqrt(shape.Rank)).to(type);
            _cache = KvCacheTensors.Allocate(ops, KvLayerSpec.Rows(shape.RowWidth), Positions / 16, isFloat8 ? KvCacheSpec.Float8 : type);
            // What an earlier owner left in a block must never reach a result.
            if (!isFloat8)
                _cache.Tensors[0].fill_(float.NaN);
        }

        public LatentAttentionShape Shape { get; }

        public ScalarType Type { get; }

        public Tensor Projection { get; }

        public (Tensor Queries, KvLayerCache Cache, LatentWeight Weight) Run(AttentionMetadata step, ILatentOps ops, Tensor? queries = null, Tensor? rows = null)
        {
            queries ??= randn(step.TokenCount, (long)Shape.Heads * Shape.QueryDim).to(Type);
            rows ??= randn(step.TokenCount, Shape.RowWidth).to(Type);
            ops.RotateAndStore(queries, rows, 0, _norm, 1e-6f, _rotary, _cache, step, Shape);
            _weights.Add(ops.Pack(Projection, Shape));
            return (queries, _cache, _weights[^1]);
        }

        public void Dispose()
        {
            _rotary.Dispose();
            _cache.Dispose();
            _weights.ForEach(weight => weight.Dispose());
        }
    }
}
