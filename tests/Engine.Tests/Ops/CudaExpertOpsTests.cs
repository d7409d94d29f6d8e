using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares a GPU's sums of experts with the plain version on the CPU.</summary>
public sealed class CudaExpertOpsTests : IDisposable
{
    // The plain version rounds to the type: the widened elements of both matrices, gate, up, their product and the result of every expert.
    // The kernels round only the last two. The difference is relative to the terms of a product, which are as large as its largest results,
    // and not to a sum whose terms cancel.
    private const int ExpertRoundings = 6;

    private readonly CudaOps _cuda;
    private readonly TorchOps _plain;
    private readonly DisposeScope _scope;

    public CudaExpertOpsTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        CardTypes.SkipBeforeAmpere();
        (_cuda, _plain) = (new(0, fp8WeightsOnly: true), new(CPU));
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    // Tokens, experts, experts per token, hidden, width: few and many rows for an expert; one sorting block, and many.
    public static TheoryData<int, int, int, int, int> ExpertShapes => new()
    {
        { 1, 8, 2, 128, 64 }, { 1, 64, 6, 256, 96 }, { 3, 5, 1, 40, 16 }, { 17, 6, 2, 128, 64 }, { 64, 4, 2, 96, 160 }, { 200, 64, 6, 64, 80 },
        { 600, 16, 4, 64, 48 }, { 700, 8, 4, 256, 128 }, { 2, 3, 2, 33, 17 },
    };

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    // The largest number of experts per token that the kernels take, and one more. Steps beyond it are not recorded, and read choices on
    // the host.
    [Fact]
    public void Experts_beyond_the_kernels_are_not_taken()
    {
        foreach (var (perToken, isTaken) in ((int, bool)[])[(32, true), (33, false)])
        {
            var routing = new ExpertRouting
            {
                Count = 40, PerToken = perToken, Groups = 1, GroupsPerToken = 1, Scoring = ExpertScoring.Softmax, Choice = ExpertChoice.Greedy,
                NormalizesWeights = true, WeightScale = 1,
            };
            using var experts = new ExpertOpsTests.Experts(_cuda, ExpertOpsTests.Kind.Unquantized, ScalarType.BFloat16, 0, 40, 64, 32) { Routing = routing };
            var ops = _cuda.Features.Experts!;
            var choices = ops.Route(randn(5, 40).cuda(), null, routing);
            var sum = ops.TrySum(randn(5, 64).to(ScalarType.BFloat16).cuda(), choices, experts);
            Assert.Equal((isTaken, isTaken), (ops.Takes(experts, ScalarType.BFloat16), sum is not null));
        }
    }

    [Theory]
    [MemberData(nameof(ExpertShapes))]
    public void Experts_at_once_agree_with_one_after_the_other(int tokens, int count, int perToken, int hidden, int width)
    {
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            foreach (var kind in Enum.GetValues<ExpertOpsTests.Kind>())
            {
                // A rank of an expert-parallel group holds only some of them.
                foreach (var (first, own) in ((int, int)[])[(0, count), (1, Math.Max(1, count / 2))])
                {
                    using var wanted = new ExpertOpsTests.Experts(_plain, kind, type, first, own, hidden, width);
                    using var experts = new ExpertOpsTests.Experts(_cuda, kind, type, first, own, hidden, width);
                    var (x, choices) = (randn(tokens, hidden).to(type), ExpertOpsTests.Choose(tokens, count, perToken));
                    var groups = new ExpertGroups(count + 2);
                    groups.Fill(choices.Ids);
                    var plain = new TorchExpertOps().Sum(x, groups, choices.Weights, wanted);
                    var onCard = new ExpertChoices(choices.Ids.to(ScalarType.Int32).cuda(), choices.Weights.cuda());
                    var ops = _cuda.Features.Experts!;
                    var sum = ops.TrySum(x.cuda(), onCard, experts);
                    Assert.Equal(sum is not null, ops.Takes(experts, type));
                    Assert.False(ops.Takes(experts, ScalarType.Float32));
                    if (sum is null)
                    {
                        Assert.False(IsForKernels(kind, hidden, width), $"{kind} is not taken");
                        continue;
                    }

                    AssertNear(plain, sum, ExpertRoundings * UnitOf(type));
                    // The same operation also adds the shared experts' result and the residual stream.
                    var (shared, residual) = (randn(tokens, hidden).to(type), randn(tokens, hidden).to(type));
                    AssertNear(plain.Plus(shared.to(float32)), ops.TrySum(x.cuda(), onCard, experts, shared.cuda())!, ExpertRoundings * UnitOf(type));
                    var onto = residual.cuda();
                    Assert.Same(onto, ops.TrySum(x.cuda(), onCard, experts, shared.cuda(), onto));
                    AssertNear(plain.Plus(shared.to(float32)).Plus(residual.to(float32)), onto, ExpertRoundings * UnitOf(type));
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 256, 7168)]
    [InlineData(2, 256, 7168)]
    [InlineData(3, 160, 5120)]
    [InlineData(8, 64, 2048)]
    [InlineData(9, 6, 48)]
    [InlineData(130, 7, 256)]
    public void Scores_of_experts_are_those_of_a_product_in_float32(int rows, int experts, int hidden)
    {
        var matrix = randn(experts, hidden) / MathF.Sqrt(hidden);
        using var wanted = _plain.PackLinear(matrix, null, LinearRole.Router, default);
        using var packed = _cuda.PackLinear(matrix, null, LinearRole.Router, default);
        foreach (var type in (ScalarType[])[ScalarType.BFloat16, ScalarType.Float16])
        {
            var x = randn(rows, hidden).to(type);
            var got = _cuda.Features.Experts!.TryLogits(x.cuda(), packed)!;
            AssertClose(_plain.Linear(x.to(float32), wanted), got, ScalarType.Float32);
            // A row has the same bits alone and in any step.
            var all = got.cpu();
            for (var row = 0; row < rows; row += 7)
            {
                var alone = _cuda.Features.Experts!.TryLogits(x.narrow(0, row, 1).cuda(), packed)!.cpu();
                Assert.Equal(all.narrow(0, row, 1).data<float>().ToArray(), alone.data<float>().ToArray());
            }
        }

        Assert.Null(_cuda.Features.Experts!.TryLogits(randn(rows, hidden).cuda(), packed));
    }

    // A matrix that was stored in bfloat16 has one part, any other has three.
    [Theory]
    [InlineData(512, 256, 7168, true)]
    [InlineData(2000, 64, 2048, false)]
    [InlineData(513, 6, 48, false)]
    public void Scores_of_many_rows_are_those_of_a_product_in_float32(int rows, int experts, int hidden, bool isStoredInBfloat16)
    {
        var matrix = randn(experts, hidden) / MathF.Sqrt(hidden);
        if (isStoredInBfloat16)
            matrix = matrix.to(ScalarType.BFloat16).to(float32);
        using var wanted = _plain.PackLinear(matrix, null, LinearRole.Router, default);
        using var packed = _cuda.PackLinear(matrix, null, LinearRole.Router, default);
        var x = randn(rows, hidden).to(ScalarType.BFloat16);
        // Twice: the second time the parts already exist.
        for (var turn = 0; turn < 2; turn++)
            AssertClose(_plain.Linear(x.to(float32), wanted), _cuda.Features.Experts!.TryLogits(x.cuda(), packed)!, ScalarType.Float32);
        Assert.Null(_cuda.Features.Experts!.TryLogits(x.to(ScalarType.Float16).cuda(), packed));
    }

    [Fact]
    public void Rows_that_pad_a_step_get_no_experts_and_are_not_counted()
    {
        const int tokens = 5, rows = 8, count = 12, perToken = 3, hidden = 64;
        var ops = _cuda.Features.Experts!;
        using var experts = new ExpertOpsTests.Experts(_cuda, ExpertOpsTests.Kind.Unquantized, ScalarType.BFloat16, 0, count, hidden, 32);
        var routing = new ExpertRouting
        {
            Count = count, PerToken = perToken, Scoring = ExpertScoring.Sigmoid, Choice = ExpertChoice.Greedy, NormalizesWeights = true, WeightScale = 1,
            Groups = 1, GroupsPerToken = 1,
        };
        using var metadata = new AttentionMetadata();
        for (var token = 0; token < tokens; token++)
        {
            metadata.Sequences.Add(new(token, 1, 1, token));
            metadata.BlockTables.Add(token);
            metadata.PositionRows.Add(0);
            metadata.SlotMapping.Add(token * AttentionMetadata.BlockSize);
        }

        _cuda.BeginStep(new int[tokens], metadata, rows);
        var logits = randn(rows, count);
        var choices = ops.Route(logits.cuda(), null, routing);
        var ids = choices.Ids.cpu().data<int>().ToArray();
        Assert.All(ids[(tokens * perToken)..], id => Assert.Equal(-1, id));
        var x = randn(rows, hidden).to(ScalarType.BFloat16).cuda();
        var counted = new long[count];
        for (var step = 1; step <= 2; step++)
        {
            var sum = ops.TrySum(x, choices, experts)!.cpu().to(float32);
            Assert.Equal(0, sum.narrow(0, tokens, rows - tokens).abs().max().item<float>());
            _cuda.Card.Synchronize();
            ops.ReadUsage([new(experts, counted), new(null, [])]);
            Assert.Equal(Enumerable.Range(0, count).Select(expert => step * ids.LongCount(id => id == expert)), counted);
        }

        ops.ForgetUsage();
        _cuda.Card.Synchronize();
        ops.ReadUsage([new(experts, counted)]);
        Assert.All(counted, number => Assert.Equal(0, number));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(128)]
    public void Rows_that_are_normalised_for_experts_are_those_of_a_norm_alone(int tokens)
    {
        Assert.SkipUnless(_cuda.Card.ComputeCapability == CudaDevice.Hopper, "not a Hopper card");
        const int count = 8, perToken = 2, hidden = 256, width = 128;
        using var card = new CudaOps(0); // unlike _cuda, also quantises
        var ops = card.Features.Experts!;
        using var experts = new ExpertOpsTests.Experts(card, ExpertOpsTests.Kind.Blocks, ScalarType.BFloat16, 0, count, hidden, width);
        var x = randn(tokens, hidden).to(ScalarType.BFloat16).cuda();
        var norm = (1 + (0.2 * randn(hidden))).to(ScalarType.BFloat16).cuda();
        var chosen = ExpertOpsTests.Choose(tokens, count, perToken);
        var choices = new ExpertChoices(chosen.Ids.to(ScalarType.Int32).cuda(), chosen.Weights.cuda());
        var alone = card.RmsNorm(x, norm, 1e-6f).clone();
        var wanted = ops.TrySum(alone, choices, experts)!.clone();
        var normalised = ops.TryNormalise(x, norm, 1e-6f, experts)!.Value;
        Assert.True(normalised.Rows.eq(alone).all().item<bool>());
        Assert.True(ops.TrySum(normalised.Rows, choices, experts, quantised: normalised.Quantised)!.eq(wanted).all().item<bool>());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(40)]
    [InlineData(128)]
    public void The_shared_expert_is_computed_with_the_chosen_ones(int tokens)
    {
        const int count = 8, hidden = 256, width = 128;
        var routing = new ExpertRouting
        {
            Count = count, PerToken = 2, Scoring = ExpertScoring.Sigmoid, Choice = ExpertChoice.Greedy, NormalizesWeights = true, WeightScale = 2.5f,
            Groups = 1, GroupsPerToken = 1,
        };
        var ops = _cuda.Features.Experts!;
        foreach (var kind in (ExpertOpsTests.Kind[])[ExpertOpsTests.Kind.Unquantized, ExpertOpsTests.Kind.Blocks])
        {
            using var all = new ExpertOpsTests.Experts(_cuda, kind, ScalarType.BFloat16, 0, count + 1, hidden, width);
            var experts = new WithShared(all);
            Assert.True(ops.JoinsShared(experts, ScalarType.BFloat16, tokens));
            Assert.False(ops.JoinsShared(experts, ScalarType.BFloat16, SkinnyTiling.MaxRows + 1));
            var (x, logits) = (randn(tokens, hidden).to(ScalarType.BFloat16).cuda(), randn(tokens, count).cuda());
            var shared = all.Forward(count, x).clone();
            var chosen = ops.Route(logits, null, routing);
            var wanted = ops.TrySum(x, chosen, experts, shared)!.clone();
            var (ids, weights) = (chosen.Ids.cpu(), chosen.Weights.cpu());

            var joined = ops.Route(logits, null, routing, joinsShared: true);
            Assert.True(joined.HasShared);
            Assert.True(joined.Ids.cpu().eq(cat([ids, full([tokens, 1], count, ScalarType.Int32)], 1)).all().item<bool>());
            Assert.True(joined.Weights.cpu().eq(cat([weights, ones(tokens, 1)], 1)).all().item<bool>());
            AssertNear(wanted.cpu().to(float32), ops.TrySum(x, joined, experts)!, ExpertRoundings * UnitOf(ScalarType.BFloat16));
            ops.Forget(experts);
        }
    }

    // One block can sort the assignments of 40 tokens; those of 900 take several.
    [Theory]
    [InlineData(40)]
    [InlineData(900)]
    public void Tokens_are_counted_for_every_expert_of_the_layer_whichever_rank_has_it(int tokens)
    {
        const int count = 10, perToken = 4;
        var ops = _cuda.Features.Experts!;
        using var experts = new ExpertOpsTests.Experts(_cuda, ExpertOpsTests.Kind.Unquantized, ScalarType.BFloat16, 3, 4, 64, 32) { Total = count };
        var choices = ExpertOpsTests.Choose(tokens, count, perToken);
        ops.TrySum(randn(tokens, 64).to(ScalarType.BFloat16).cuda(), new(choices.Ids.to(ScalarType.Int32).cuda(), choices.Weights.cuda()), experts);
        _cuda.Card.Synchronize();
        var counted = new long[count];
        ops.ReadUsage([new(experts, counted)]);
        var ids = choices.Ids.data<long>().ToArray();
        Assert.Equal(Enumerable.Range(0, count).Select(expert => ids.LongCount(id => id == expert)), counted);
    }

    // Runs the ranks one after the other and adds the results for their shares of the tokens, before and after experts move.
    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(900)]
    public void Ranks_whose_experts_change_compute_every_token_once(int tokens)
    {
        const int count = 6, perToken = 3, hidden = 64, width = 32;
        var ops = _cuda.Features.Experts!;
        foreach (var kind in (ExpertOpsTests.Kind[])[ExpertOpsTests.Kind.Unquantized, ExpertOpsTests.Kind.Blocks])
        {
            using var wanted = new ExpertOpsTests.Experts(_plain, kind, ScalarType.BFloat16, 0, count, hidden, width);
            using var all = new ExpertOpsTests.Experts(_cuda, kind, ScalarType.BFloat16, 0, count, hidden, width);
            var (x, choices) = (randn(tokens, hidden).to(ScalarType.BFloat16), ExpertOpsTests.Choose(tokens, count, perToken));
            var groups = new ExpertGroups(count);
            groups.Fill(choices.Ids);
            var plain = new TorchExpertOps().Sum(x, groups, choices.Weights, wanted);
            var onCard = new ExpertChoices(choices.Ids.to(ScalarType.Int32).cuda(), choices.Weights.cuda());
            HeldExperts[] ranks = [new(all, count, 0, _cuda.Device), new(all, count, 1, _cuda.Device)];
            foreach (var held in (int[][][])[[[0, 1, 2, 5], [3, 4, 5, 0]], [[5, 4, 3, 0], [1, 2, 3, 4]]])
            {
                var placement = new ExpertPlacement(count, [[.. held[0].Order()], [.. held[1].Order()]]);
                Tensor? sum = null;
                foreach (var rank in ranks)
                {
                    rank.Take(placement, held[rank.Shares.Rank]);
                    rank.Shares.Clear();
                    ops.Forget(rank);
                    var part = ops.TrySum(x.cuda(), onCard, rank)!.cpu().to(float32);
                    sum = sum is null ? part : sum.Plus(part);
                    var loads = new long[count];
                    rank.Shares.AddLoads(loads);
                    Assert.Equal(Enumerable.Range(0, count).Select(expert => (long)groups.CountOf(expert)), loads);
                }

                AssertNear(plain, sum!, 2 * ExpertRoundings * UnitOf(ScalarType.BFloat16));
            }

            var usage = new long[2];
            ops.ReadUsage([new(ranks[0], usage)]);
            Assert.Equal(2L * tokens * perToken, usage.Sum());
            Assert.All(usage, number => Assert.True(number > 0 || tokens == 1));
            foreach (var rank in ranks)
                rank.Shares.Dispose();
        }
    }

    // A rank's experts, by their places.
    private sealed class HeldExperts(IExperts all, int experts, int rank, Device device) : IExperts
    {
        private int[] _held = [];

        public int First => 0;

        public int Count => _held.Length;

        public int Total => 2;

        public ExpertShares Shares { get; } = new(experts, rank, device);

        ExpertShares? IExperts.Shares => Shares;

        public void Take(ExpertPlacement placement, int[] held)
        {
            _held = held;
            Shares.Place(placement.TableOf(rank, held));
        }

        public ExpertMatrices? MatricesOf(int expert) => all.MatricesOf(_held[expert]);

        public Tensor Forward(int expert, Tensor x) => all.Forward(_held[expert], x);
    }

    // The kernels need rows of a matrix to begin at multiples of 16 bytes.
    private static bool IsForKernels(ExpertOpsTests.Kind kind, int hidden, int width) => kind switch
    {
        ExpertOpsTests.Kind.OddBlocks => false,
        ExpertOpsTests.Kind.Unquantized => hidden % 8 == 0 && width % 8 == 0,
        ExpertOpsTests.Kind.KeptDown => hidden % 16 == 0 && width % 8 == 0,
        _ => hidden % 16 == 0 && width % 16 == 0,
    };

    // The largest relative change of a value when it is rounded to a type.
    private static double UnitOf(ScalarType type) => type == ScalarType.BFloat16 ? 1.0 / 256 : 1.0 / 2048;

    // Presents the last of the experts as the shared one, which computes every token.
    private sealed class WithShared(ExpertOpsTests.Experts all) : IExperts
    {
        public int First => 0;

        public int Count => all.Count - 1;

        public ExpertMatrices? Shared => all.MatricesOf(Count);

        public ExpertMatrices? MatricesOf(int expert) => all.MatricesOf(expert);

        public Tensor Forward(int expert, Tensor x) => all.Forward(expert, x);
    }
}
