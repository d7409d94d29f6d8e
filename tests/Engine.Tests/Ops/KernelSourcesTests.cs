using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compiles the kernels where NVRTC is available, with or without a card.</summary>
public sealed class KernelSourcesTests
{
    private const string Attention = "HEADS_PER_BLOCK=7 WARPS=8 LEAST_SHARE=256";
    private const string Experts = "EXPERTS=256 PER_TOKEN=8";
    private const string MaxExperts = "EXPERTS=1024 PER_TOKEN=32";
    private const string OddExperts = "EXPERTS=160 PER_TOKEN=6 GROUPS=8 GROUPS_PER_TOKEN=3 BY_TWO=0 SOFTMAX=1 NORMALIZED=0 JOINED=0";

    private static readonly ScalarType[] All = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];
    private static readonly ScalarType[] Halves = [ScalarType.BFloat16, ScalarType.Float16];

    /// <summary>Sources, types and macros other than the type's, as the operations request them.</summary>
    public static TheoryData<string, bool, string> Sources => new()
    {
        { "elementwise.cu", true, "" },
        { "best.cu", true, "" },
        { "draw.cu sampling.cu", true, "CUTS=1 NOTHING_LEFT=-1" },
        { "draw.cu cut.cu", true, "" },
        { "processors.cu", true, "" },
        { "encoder.cu", true, "WIDTH=1024 THREADS=128" },
        { "experts.cu", true, Experts },
        { "routing.cu", true, $"{Experts} GROUPS=8 GROUPS_PER_TOKEN=4 BY_TWO=1 SOFTMAX=0 NORMALIZED=1 JOINED=1" },
        { "routing.cu", true, OddExperts },
        { "routing.cu", true, $"{MaxExperts} GROUPS=64 GROUPS_PER_TOKEN=32 BY_TWO=1 SOFTMAX=0 NORMALIZED=1 JOINED=1" },
        { "experts.cu", true, "EXPERTS=1025 PER_TOKEN=33" },
        { "router.cu", false, "TILE=1 OUTPUTS=2 EARLY=4" },
        { "router.cu", false, "TILE=8 OUTPUTS=4 EARLY=1" },
        { CudaLatentOps.StoreSource, true, "RANK=512 PLAIN=128 ROTARY=64 INTERLEAVED=1 CACHE_FP8=0" },
        { CudaLatentOps.StoreSource, true, "RANK=512 PLAIN=128 ROTARY=64 INTERLEAVED=1 CACHE_FP8=1" },
        { CudaLatentOps.StoreSource, true, "RANK=20 PLAIN=12 ROTARY=6 INTERLEAVED=0 CACHE_FP8=1" },
        { PagedAttention.LanesSource, true, $"{Attention} HEAD_DIM=40 VECTOR=4 LANES=16 CACHE_FP8=0 MIN_BLOCKS=1" },
        { PagedAttention.LanesSource, true, $"{Attention} HEAD_DIM=40 VECTOR=4 LANES=16 CACHE_FP8=1 MIN_BLOCKS=1" },
        { PagedAttention.LanesSource, true, $"{Attention} HEAD_DIM=10 VECTOR=2 LANES=8 CACHE_FP8=1 MIN_BLOCKS=1" },
        { PagedAttention.TensorCoreSource, false, $"{Attention} HEAD_DIM=128 CACHE_FP8=0 MIN_BLOCKS=1" },
        { PagedAttention.Float8Source, false, $"{Attention} HEAD_DIM=128 CACHE_FP8=1 MIN_BLOCKS=2" },
        { PagedAttention.Float8Source, false, $"{Attention} HEAD_DIM=64 CACHE_FP8=1 MIN_BLOCKS=2" },
        { CudaAttention.Float8CacheSource, true, "" },
        { CudaLatentOps.AttentionSource, false, "RANK=512 PLAIN=128 ROTARY=64 PARTS=1 CLUSTER=1 TILE=32 STAGES=2" },
        { CudaLatentOps.Float8Source, false, "RANK=512 PLAIN=128 ROTARY=64 PARTS=1 CLUSTER=1 TILE=32 STAGES=3" },
        { CudaLatentOps.Float8Source, false, "RANK=512 PLAIN=128 ROTARY=64 PARTS=1 CLUSTER=1 TILE=16 STAGES=4" },
        { CudaLatentOps.Float8Source, false, "RANK=64 PLAIN=32 ROTARY=16 PARTS=1 CLUSTER=1 TILE=32 STAGES=3" },
        { CudaLatentOps.Float8Source, false, "RANK=192 PLAIN=128 ROTARY=80 PARTS=1 CLUSTER=1 TILE=32 STAGES=3" },
    };

    /// <summary>Rows, outputs, inputs, products at once.</summary>
    public static TheoryData<int, int, int, int> Products => new() { { 1, 2176, 7168, 1 }, { 12, 512, 128, 128 }, { 32, 7168, 2048, 1 }, { 128, 7168, 512, 1 } };

    public KernelSourcesTests() => TorchLibrary.EnsureLoaded();

    [Theory]
    [MemberData(nameof(Sources))]
    public void Every_kernel_compiles_for_every_type(string source, bool takesFloat32, string defines)
    {
        foreach (var type in takesFloat32 ? All : Halves)
        {
            AssertCompiles(source, $"{KernelCompiler.TypeMacro(type)} {defines}".Trim());
            if (type != ScalarType.BFloat16)
                AssertCompiles(source, $"{KernelCompiler.TypeMacro(type)} {defines}".Trim(), CudaDevice.Turing);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    public void Products_of_single_rows_compile_from_Turing_on(ScalarType type)
    {
        const int packs = 448;
        foreach (var epilogue in Enum.GetValues<GemvEpilogue>())
        {
            var defines = GemvTiling.Of(LinearRole.Qkv, packs).Defines(type, rows: 4, packs, norm: true, epilogue, headDim: 128);
            AssertCompiles("gemv.cu", defines, CudaDevice.Turing, CudaDevice.Hopper);
        }
    }

    [Theory]
    [InlineData(1024, 64, 32, true)]
    [InlineData(256, 8, 8, true)]
    [InlineData(1025, 1, 8, false)]
    [InlineData(4096, 64, 8, false)]
    [InlineData(1024, 128, 8, false)]
    [InlineData(256, 1, 33, false)]
    public void Experts_that_kernels_would_spill_are_left_to_plain_operations(int experts, int groups, int perToken, bool isTaken)
    {
        var routing = new ExpertRouting
        {
            Count = experts, PerToken = perToken, Groups = groups, GroupsPerToken = groups, Scoring = ExpertScoring.Sigmoid,
            Choice = ExpertChoice.NoAuxiliaryLoss, NormalizesWeights = true, WeightScale = 1,
        };
        Assert.Equal(isTaken, CudaExpertOps.Takes(routing));
    }

    [Theory]
    [MemberData(nameof(Products))]
    public void Products_compile_for_every_cut(int rows, int outputs, int inputs, int products)
    {
        foreach (var fp8 in (bool[])[false, true])
        {
            var tiling = SkinnyTiling.Of(rows, outputs, inputs, products, fp8, 132);
            var (type, where) = fp8 ? (ScalarType.BFloat16, TokenPermutation.None) : (ScalarType.Float16, TokenPermutation.ToTokens);
            AssertCompiles(SkinnyProduct.Source, tiling.Defines(type, fp8, gated: false, add: !fp8, where));
            AssertCompiles(SkinnyProduct.Source, tiling.Defines(ScalarType.Float16, fp8, gated: false, add: !fp8, where), CudaDevice.Turing);
        }
    }

    [Theory]
    [InlineData("RANK=512 PLAIN=128 ROTARY=64 PARTS=2 CLUSTER=16 TILE=32 STAGES=2")]
    [InlineData("RANK=512 PLAIN=128 ROTARY=64 PARTS=2 CLUSTER=8 TILE=16 STAGES=4")]
    [InlineData("RANK=512 PLAIN=128 ROTARY=64 PARTS=1 CLUSTER=16 TILE=32 STAGES=4")]
    [InlineData("RANK=64 PLAIN=32 ROTARY=16 PARTS=2 CLUSTER=16 TILE=32 STAGES=2")]
    public void Attention_of_clusters_compiles_for_Hopper(string defines)
    {
        foreach (var type in Halves)
        {
            foreach (var source in (string[])[CudaLatentOps.AttentionSource, CudaLatentOps.Float8Source])
                AssertCompiles(source, $"{KernelCompiler.TypeMacro(type)} {defines}", CudaDevice.Hopper);
        }
    }

    [Fact]
    public void Attention_of_many_heads_compiles_for_Hopper()
    {
        foreach (var type in Halves)
        {
            foreach (var source in (string[])[CudaLatentOps.WideSource, CudaLatentOps.WideFloat8Source])
                AssertCompiles(source, $"{KernelCompiler.TypeMacro(type)} RANK=512 PLAIN=128 ROTARY=64", CudaDevice.Hopper);
        }
    }

    [Theory]
    [InlineData("ADD=0 GATHER=0")]
    [InlineData("ADD=1 GATHER=0")]
    [InlineData("ADD=0 GATHER=1")]
    [InlineData("ADD=1 GATHER=0 SCATTER=1")]
    public void Exchanges_of_chunks_compile(string what)
    {
        foreach (var type in All)
        {
            foreach (var packed in (int[])[0, 1])
            {
                var defines = $"{KernelCompiler.TypeMacro(type)} RANKS=8 RANK=3 CHUNK_BYTES=131072 PACKED={packed} {what}";
                AssertCompiles("peers.cu exchange.cu", defines);
                if (type != ScalarType.BFloat16)
                    AssertCompiles("peers.cu exchange.cu", defines, CudaDevice.Turing);
            }
        }
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    public void What_connects_ranks_compiles_from_Turing_on(ScalarType type)
    {
        var ranks = $"{KernelCompiler.TypeMacro(type)} RANKS=2 RANK=1 CHUNK_BYTES=131072";
        AssertCompiles("peers.cu passing.cu", ranks, CudaDevice.Turing, CudaDevice.Hopper);
        foreach (var norm in (int[])[0, 1])
            AssertCompiles("peers.cu allreduce.cu", $"{ranks} CAPACITY=65536 GRID=16 ADD=1 NORM={norm}", CudaDevice.Turing, CudaDevice.Hopper);
    }

    [Fact]
    public void Products_of_experts_compile()
    {
        var tiling = SkinnyTiling.Of(16, 4096, 7168, 8, fp8: true, 132);
        AssertCompiles("tensor_core.cu product.cu skinny.cu", tiling.Defines(ScalarType.BFloat16, fp8: true, gated: true, add: false, TokenPermutation.ToExperts));
    }

    [Theory]
    [InlineData(1, 2176)]
    [InlineData(12, 7168)]
    [InlineData(32, 4096)]
    [InlineData(64, 4096)]
    [InlineData(4096, 36864)]
    public void Products_of_warpgroups_compile_for_Hopper(int rows, int outputs)
    {
        foreach (var kind in Enum.GetValues<TokenPermutation>())
        {
            foreach (var fp8 in (bool[])[false, true])
            {
                var tiling = WarpgroupTiling.Of(rows, outputs, 7168, kind == TokenPermutation.None ? 1 : 8, fp8, 132);
                var defines = tiling.Defines(fp8 ? ScalarType.BFloat16 : ScalarType.Float16, fp8, kind == TokenPermutation.ToExperts, add: false, kind);
                AssertCompiles(WarpgroupTiling.Source, defines, CudaDevice.Hopper);
            }
        }

        foreach (var type in Halves)
        {
            foreach (var tiled in (int[])[0, 1])
                AssertCompiles("quantise.cu", $"{KernelCompiler.TypeMacro(type)} NORM_WARPS=28 NORM_CHUNKS=2 TILED={tiled}", CudaDevice.Hopper);
        }
    }

    [Fact]
    public void Products_of_many_rows_compile_for_Hopper()
    {
        foreach (var direction in Enum.GetValues<TokenPermutation>())
        {
            foreach (var tiling in (BulkTiling[])[BulkTiling.Wide, BulkTiling.Narrow])
                AssertCompiles(BulkTiling.Source, tiling.Defines(ScalarType.Float16, direction), CudaDevice.Hopper);
            AssertCompiles("quantise.cu", $"{KernelCompiler.TypeMacro(ScalarType.Float16)} ROWS={(int)direction}", CudaDevice.Hopper);
        }

        foreach (var tiling in (BulkTiling[])[BulkTiling.Wide, BulkTiling.Narrow])
        {
            AssertCompiles(BulkTiling.Source, tiling.Defines(ScalarType.BFloat16, TokenPermutation.None, gated: true), CudaDevice.Hopper);
            AssertCompiles(BulkTiling.Source, tiling.Defines(ScalarType.BFloat16, TokenPermutation.None, add: true), CudaDevice.Hopper);
        }
    }

    // bfloat16 products exist from compute capability 80 on, so callers request 75 by name; 90 covers what only Hopper knows.
    private static void AssertCompiles(string source, string defines, params int[] capabilities)
    {
        if (!Nvrtc.TryLoad(null))
            Assert.Skip("no NVRTC");
        foreach (var capability in capabilities is [] ? [80, CudaDevice.Hopper] : capabilities)
            Assert.NotEmpty(Nvrtc.Compile(KernelCompiler.TextOf(source), source, KernelCompiler.OptionsOf(source, capability, defines)));
    }
}
