using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares the GPU's kernels with the plain ATen version on the CPU, on random shapes.</summary>
public sealed class CudaOpsTests : IDisposable
{
    private static readonly ScalarType[] Types = CardTypes.All;
    private readonly CudaOps _cuda;
    private readonly IDeviceOps _fast;
    private readonly IDeviceOps _plain;
    private readonly IFusedOps _composed;
    private readonly DisposeScope _scope;

    public CudaOpsTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        _fast = _cuda = new(0);
        _plain = new TorchOps(CPU);
        _composed = new ComposedOps(_plain);
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    // Rows, inputs, outputs: for our own kernels and for cuBLAS; widths that are whole 16-byte accesses, and others.
    public static TheoryData<int, int, int> LinearShapes => new()
    {
        { 1, 8, 2 }, { 1, 256, 768 }, { 2, 1536, 2048 }, { 3, 40, 34 }, { 4, 3584, 4608 }, { 1, 3584, 18944 * 2 }, { 3, 33, 30 }, { 8, 64, 32 }, { 13, 104, 98 }, { 257, 48, 130 },
    };

    public static TheoryData<int, int, int, int?> AttentionShapes => new()
    {
        { 4, 2, 64, null }, { 4, 1, 24, null }, { 8, 8, 8, null }, { 14, 2, 64, null }, { 28, 4, 128, null }, { 12, 2, 128, 20 }, { 6, 3, 10, 5 }, { 40, 1, 16, null }, { 4, 2, 256, null }, { 4, 2, 40, 30 }, { 9, 3, 80, null },
    };

    [Theory]
    [MemberData(nameof(LinearShapes))]
    public void Products_agree_with_the_plain_version(int rows, int inFeatures, int outFeatures)
    {
        foreach (var type in Types)
        {
            // Scaled so that results are about 1, whatever the width.
            var weight = (randn(outFeatures, inFeatures) / Math.Sqrt(inFeatures)).to(type);
            var (bias, norm, x) = (randn(outFeatures).to(type), randn(inFeatures).to(type), randn(rows, inFeatures).to(type));
            var (gpuNorm, gpuX) = (norm.cuda(), x.cuda());
            foreach (var itsBias in (Tensor?[])[bias, null])
            {
                using var plain = _plain.PackLinear(weight, itsBias);
                using var fast = _fast.PackLinear(weight, itsBias);
                AssertClose(_plain.Linear(x, plain), _fast.Linear(gpuX, fast), type);
                AssertClose(_composed.NormLinear(x, norm, 1e-5f, plain), _cuda.NormLinear(gpuX, gpuNorm, 1e-5f, fast), type);
                AssertClose(_composed.NormGatedLinear(x, norm, 1e-5f, plain), _cuda.NormGatedLinear(gpuX, gpuNorm, 1e-5f, fast), type);
                var residual = randn(rows, outFeatures).to(type);
                var gpuResidual = residual.cuda();
                _composed.LinearAdd(x, plain, residual);
                _cuda.LinearAdd(gpuX, fast, gpuResidual);
                AssertClose(residual, gpuResidual, type);
            }
        }
    }

    [Theory]
    [InlineData(1, 64)]
    [InlineData(7, 256)]
    [InlineData(300, 70)]
    public void Norms_activations_and_gathers_agree_with_the_plain_version(int rows, int width)
    {
        foreach (var type in Types)
        {
            var (x, weight, gateUp) = (randn(rows, width).to(type), randn(width).to(type), (randn(rows, 2 * width) * 4).to(type));
            AssertClose(_plain.RmsNorm(x, weight, 1e-6f), _fast.RmsNorm(x.cuda(), weight.cuda(), 1e-6f), type);
            // Some columns of a wider matrix, with and without 16-byte accesses.
            foreach (var stride in (int[])[width + 16, width + 3])
            {
                var wide = randn(rows, stride).to(type);
                AssertClose(_plain.RmsNorm(wide.narrow(1, 0, width), weight, 1e-6f), _fast.RmsNorm(wide.cuda().narrow(1, 0, width), weight.cuda(), 1e-6f), type);
            }

            AssertClose(_plain.SiluAndMul(gateUp), _fast.SiluAndMul(gateUp.cuda()), type);
            int[] chosen = [rows - 1, 0, rows / 2, rows / 2];
            using var metadata = new AttentionMetadata();
            var ids = _cuda.BeginStep(chosen, metadata, chosen.Length);
            AssertClose(_plain.SelectRows(x, chosen), _fast.SelectRows(x.cuda(), chosen), type);
            AssertClose(_plain.SelectRows(x, chosen), _fast.Embedding(ids, x.cuda()), type);
            // A part of a larger table: its own rows, and zeros for rows that it lacks.
            var part = x.narrow(0, rows / 2, rows - (rows / 2)).contiguous();
            AssertClose(_plain.EmbeddingShard(TorchOps.Ids(chosen), part, rows / 2), _fast.EmbeddingShard(ids, part.cuda(), rows / 2), type);
        }
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(7, 192)]
    [InlineData(300, 1024)]
    [InlineData(5, 37)]
    [InlineData(2, 4104)]
    public void What_an_encoder_does_between_its_products_agrees_with_the_plain_version(int rows, int width)
    {
        foreach (var type in Types)
        {
            // A mean far from 0 exposes a badly computed variance.
            var (x, residual, weight, bias) = ((randn(rows, width) + 3).to(type), randn(rows, width).to(type), randn(width).to(type), randn(width).to(type));
            AssertClose(_composed.AddLayerNorm(x.to(float32).clone(), residual.to(float32), weight.to(float32), bias.to(float32),
                1e-5f), _cuda.AddLayerNorm(x.cuda(), residual.cuda(), weight.cuda(), bias.cuda(), 1e-5f), type);
            AssertClose(_composed.Gelu(x.to(float32)), _cuda.Gelu(x.cuda()), type);
        }
    }

    [Theory]
    [InlineData(2, 64)]
    [InlineData(3, 8)]
    [InlineData(16, 64)]
    [InlineData(4, 20)]
    public void Attention_within_texts_agrees_with_the_plain_version(int heads, int headDim)
    {
        foreach (var type in Types)
        {
            using var texts = new TextSpans([1, 1, 7, 64, 65, 3, 500]);
            using var same = new TextSpans(texts.Lengths);
            var qkv = randn(texts.Starts[^1], 3 * heads * headDim).to(type);
            AssertClose(_composed.TextAttention(qkv.to(float32), texts, heads), _cuda.TextAttention(qkv.cuda(), same, heads), type);
        }
    }

    [Theory]
    [MemberData(nameof(AttentionShapes))]
    public void Attention_over_scattered_blocks_agrees_with_the_plain_version(int heads, int kvHeads, int headDim, int? window)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
        foreach (var type in Types)
            AssertAttentionAgrees(_plain, _fast, shape, type);
    }

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(5, 151_936)]
    [InlineData(3, 37)]
    public void The_largest_logit_is_chosen_the_lowest_id_among_equals(int rows, int width)
    {
        foreach (var type in Types)
        {
            var logits = randn(rows, width).to(type);
            logits[0].fill_(2);
            var expected = Enumerable.Range(0, rows).Select(row => logits[row].to(float32).data<float>().ToArray()).Select(row => Array.IndexOf(row, row.Max())).ToArray();
            var ids = new int[rows];
            Sample(logits.cuda(), new TokenDraw[rows], ids);
            Assert.Equal(expected, ids);
            logits[rows - 1, width / 2] = float.NaN;
            Sample(logits.cuda(), new TokenDraw[rows], ids);
            Assert.Equal(-1, ids[rows - 1]);
        }
    }

    [Fact]
    public void A_draw_is_the_inverse_of_the_cumulative_distribution()
    {
        const int width = 5000, rows = 400;
        const double inverseTemperature = 1.4;
        var logits = (randn(1, width) * 3).expand(rows, width).contiguous();
        logits.narrow(1, 1000, 700).fill_(float.NegativeInfinity);
        var weights = logits[0].to(float64).sub(logits[0].max().to(float64)).mul(inverseTemperature).exp().data<double>().ToArray();
        var random = new Random(5);
        var draws = Enumerable.Range(0, rows).Select(_ => new TokenDraw(random.NextDouble(), inverseTemperature)).ToArray();
        (draws[0], draws[1]) = (new(0, inverseTemperature), new(Math.BitDecrement(1.0), inverseTemperature));
        var ids = new int[rows];
        Sample(logits.cuda(), draws, ids);
        var total = weights.Sum();
        foreach (var (draw, id) in draws.Zip(ids))
        {
            // The weights are float32, so the border between two tokens may lie a little to either side.
            const double tolerance = 1e-5;
            var before = weights.Take(id).Sum() / total;
            Assert.True(weights[id] > 0, $"token {id} is forbidden");
            Assert.InRange(draw.Uniform, before - tolerance, before + (weights[id] / total) + tolerance);
        }
    }

    [Fact]
    public void A_recorded_step_reads_its_inputs_anew()
    {
        var table = randn(50, 64).cuda();
        using var metadata = new AttentionMetadata();
        var ids = _cuda.BeginStep([], metadata, 4);
        _fast.Embedding(ids, table).Dispose();
        Tensor? rows = null;
        using var graph = _cuda.Capture(() => rows = _fast.Embedding(ids, table));
        foreach (var step in (int[][])[[1, 2, 3], [49, 0, 7, 7]])
        {
            _cuda.BeginStep(step, metadata, 4);
            graph.Launch();
            AssertClose(_plain.SelectRows(table.cpu(), step), rows!.narrow(0, 0, step.Length), ScalarType.Float32);
        }
    }

    [Fact]
    public void A_sampled_token_is_the_next_steps_input_before_the_host_knows_it()
    {
        var (logits, table) = (randn(3, 50), randn(50, 64));
        using var metadata = new AttentionMetadata();
        using var batch = Greedy(3);
        _cuda.BeginSample(logits.cuda(), batch);
        var rows = _fast.Embedding(_cuda.BeginStep([SampledInput.OfRow(2), 7, SampledInput.OfRow(0)], metadata, 3), table.cuda());
        var ids = new int[3];
        _cuda.EndSample(ids);
        AssertClose(_plain.SelectRows(table, [ids[2], 7, ids[0]]), rows, ScalarType.Float32);
    }

    [Fact]
    public void Two_samplings_may_be_under_way_and_end_in_order()
    {
        var (first, second) = (randn(5, 300), randn(7, 300));
        var (firstIds, secondIds) = (new int[5], new int[7]);
        using var five = Greedy(5);
        using var seven = Greedy(7);
        _cuda.BeginSample(first.cuda(), five);
        _cuda.BeginSample(second.cuda(), seven);
        _cuda.EndSample(firstIds);
        _cuda.EndSample(secondIds);
        Assert.Equal(first.argmax(1).data<long>().ToArray(), firstIds.Select(id => (long)id));
        Assert.Equal(second.argmax(1).data<long>().ToArray(), secondIds.Select(id => (long)id));
    }

    [Theory]
    [InlineData(1, 12, 2, 128, 1536)]
    [InlineData(3, 4, 1, 64, 256)]
    [InlineData(4, 6, 3, 10, 40)]
    [InlineData(9, 4, 2, 32, 64)]
    public void A_projection_that_rotates_and_stores_agrees_with_the_plain_version(int rows, int heads, int kvHeads, int headDim, int inFeatures)
    {
        var shape = new AttentionShape(heads, kvHeads, headDim, 1, null);
        using var rotary = Rotary(headDim);
        using var metadata = new AttentionMetadata();
        // Rows of one sequence that begin inside a block and continue past its end.
        Append(metadata, 14, rows, [5, 2]);
        foreach (var type in Types)
        {
            using var plainCache = ZeroedCache(_plain, 8, shape, type);
            using var fastCache = ZeroedCache(_fast, 8, shape, type);
            var (weight, bias) = ((randn(shape.QkvWidth, inFeatures) / Math.Sqrt(inFeatures)).to(type), randn(shape.QkvWidth).to(type));
            var (x, norm) = (randn(rows, inFeatures).to(type), randn(inFeatures).to(type));
            using var plain = _plain.PackLinear(weight, bias, LinearRole.Qkv);
            using var fast = _fast.PackLinear(weight, bias, LinearRole.Qkv);
            _cuda.BeginStep(new int[rows], metadata, rows);
            var expected = _composed.NormQkvRotary(x, norm, 1e-5f, plain, rotary, plainCache, metadata, shape);
            var actual = _cuda.NormQkvRotary(x.cuda(), norm.cuda(), 1e-5f, fast, rotary, fastCache, metadata, shape);
            AssertClose(expected, actual, type);
            AssertClose(plainCache.Keys, fastCache.Keys, type);
            AssertClose(plainCache.Values, fastCache.Values, type);
        }
    }

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    private static SamplingBatch Greedy(int rows)
    {
        var batch = new SamplingBatch();
        for (var row = 0; row < rows; row++)
            batch.Add(default);
        return batch;
    }

    private void Sample(Tensor logits, TokenDraw[] draws, int[] ids)
    {
        using var batch = new SamplingBatch();
        foreach (var draw in draws)
            batch.Add(draw);
        _cuda.BeginSample(logits, batch);
        _cuda.EndSample(ids);
    }
}
