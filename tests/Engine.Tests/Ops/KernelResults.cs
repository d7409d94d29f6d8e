using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using LocalLlm.Weights;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>The results of every CPU kernel for fixed inputs, so that two processes can be compared.</summary>
internal static unsafe class KernelResults
{
    /// <summary>The results by kernel name.</summary>
    public static SortedDictionary<string, float[]> Compute()
    {
        using var scope = NewDisposeScope();
        using var usual = new CpuOps();
        using var invariant = new CpuOps(batchInvariant: true);
        var results = new SortedDictionary<string, float[]>(StringComparer.Ordinal);
        var random = new Random(9);
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
        {
            void Add(string name, Tensor result) => results.Add($"{name} {type}", result.to(float32).contiguous().data<float>().ToArray());

            AddProducts(usual, invariant, type, random, Add);
            var (x, norm) = (Numbers(random, 9, 100).to(type), Numbers(random, 100).to(type));
            Add("RmsNormKernel", usual.RmsNorm(x, norm, 1e-6f));
            Add("SiluAndMulKernel", usual.SiluAndMul((x * 5).to(type)));
            foreach (var cache in (ScalarType[])[type, KvCacheSpec.Float8])
            {
                Add($"PagedAttentionKernel, RotaryCacheKernel over {cache}", Attention(usual, type, cache, random));
                Add($"LatentAttentionKernel, LatentRowKernel, HeadMatmulKernel over {cache}", LatentAttention(usual, type, cache, random));
            }

            Add("RankSum", Sum(type, random));
        }

        var routing = new ExpertRouting
        {
            Count = 64, PerToken = 6, Scoring = ExpertScoring.Softmax, Choice = ExpertChoice.GroupLimitedGreedy, Groups = 8, GroupsPerToken = 3,
            NormalizesWeights = true, WeightScale = 1,
        };
        results.Add("RouterKernel", usual.Features.Experts!.Route(Numbers(random, 70, 64), null, routing).Weights.data<float>().ToArray());
        var values = Numbers(random, 1003).data<float>().ToArray();
        var weights = new float[values.Length];
        VectorMath.Weights(values, values.Max(), 1.5f, weights);
        results.Add("VectorMath.Weights", weights);
        return results;
    }

    private static void AddProducts(CpuOps usual, CpuOps invariant, ScalarType type, Random random, Action<string, Tensor> add)
    {
        var (weight, bias) = (Numbers(random, 131, 301).to(type), Numbers(random, 131).to(type));
        var x = Numbers(random, 17, 301).to(type);
        using var pairs = invariant.PackLinear(weight, bias, LinearRole.Other, WeightPacking.Compact);
        add("PanelMatmulKernel or PairMatmulKernel", invariant.Linear(x, pairs));
        using var copies = usual.PackLinear(weight, bias, LinearRole.Other, WeightPacking.DecodeCopies);
        add("MatvecKernel", usual.Linear(x.narrow(0, 0, 1).clone(), copies));

        var bytes = tensor([.. Enumerable.Range(0, 131 * 301).Select(_ => (byte)(random.Next(0x7F) | (random.Next(2) << 7)))]).reshape(131, 301);
        var grid = new Fp8Grid([.. Enumerable.Range(0, 131).Select(row => row / 64)], 128, 0);
        using var fp8 = invariant.Features.Fp8!.Pack(bytes, Numbers(random, 3, 3).abs(), grid, bias, LinearRole.Other);
        add("Fp8MatmulKernel", invariant.Features.Fp8!.Linear(x, fp8));
    }

    private static Tensor Attention(CpuOps ops, ScalarType type, ScalarType cacheType, Random random)
    {
        var shape = new AttentionShape(6, 2, 24, 0.2f, 37);
        using var cache = KvCacheTensors.Allocate(ops, KvLayerSpec.KeysAndValues(shape.KvHeads, shape.HeadDim), 64, cacheType);
        using var rotary = Rotary(shape.HeadDim);
        using var metadata = new AttentionMetadata();
        Append(metadata, 0, 70, BlockTables([70], random)[0]);
        var qkv = Numbers(random, 70, shape.QkvWidth).to(type);
        ops.RmsNormHeads(qkv, Numbers(random, shape.HeadDim).to(type), 0, shape.Heads, 1e-6f);
        ops.RotaryAndCache(qkv, rotary, cache, metadata, shape);
        return ops.Attention(qkv, cache, metadata, shape);
    }

    private static Tensor LatentAttention(CpuOps ops, ScalarType type, ScalarType cacheType, Random random)
    {
        var shape = new LatentAttentionShape(7, 33, 6, 2, 31, 0.3f, Interleaved: true);
        var latent = ops.Features.Latent!;
        using var cache = KvCacheTensors.Allocate(ops, KvLayerSpec.Rows(shape.RowWidth), 64, cacheType);
        using var weight = latent.Pack(Numbers(random, shape.Heads * (shape.PlainDim + shape.ValueDim), shape.Rank).to(type), shape);
        using var rotary = Rotary(shape.RotaryDim);
        using var metadata = new AttentionMetadata();
        Append(metadata, 0, 50, BlockTables([50], random)[0]);
        var queries = Numbers(random, 50, shape.Heads * shape.QueryDim).to(type);
        latent.RotateAndStore(queries, Numbers(random, 50, shape.RowWidth).to(type), 0, Numbers(random, shape.Rank).to(type), 1e-6f, rotary, cache, metadata, shape);
        return latent.Attention(queries, weight, cache, metadata, shape);
    }

    private static Tensor Sum(ScalarType type, Random random)
    {
        var (first, second, target) = (Numbers(random, 103).to(type), Numbers(random, 103).to(type), Numbers(random, 103).to(type));
        RankSum.Run(type, [(nint)first.DataPointer(), (nint)second.DataPointer()], (nint)target.DataPointer(), 0, 103, adds: true);
        return target;
    }

    // Not from libtorch's generator, whose numbers depend on the CPU's instructions.
    private static Tensor Numbers(Random random, params int[] shape)
    {
        var count = shape.Aggregate(1, (product, size) => product * size);
        return tensor([.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() * 4) - 2))]).reshape([.. shape.Select(size => (long)size)]);
    }
}
