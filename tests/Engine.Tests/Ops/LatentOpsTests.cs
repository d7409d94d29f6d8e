using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using Xunit;
using TorchSharp;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares the CPU's latent attention and routing with the plain ATen version on random shapes.</summary>
public sealed class LatentOpsTests : IDisposable
{
    private readonly CpuOps _fast;
    private readonly TorchOps _plain;
    private readonly DisposeScope _scope;

    public LatentOpsTests()
    {
        TorchLibrary.EnsureLoaded();
        _scope = NewDisposeScope();
        (_fast, _plain) = (new(), new(CPU));
        manual_seed(7);
    }

    // heads, rank, plain, rotary, value
    public static TheoryData<int, int, int, int, int, bool> Shapes => new()
    {
        { 1, 512, 128, 64, 128, true }, { 16, 512, 128, 64, 128, true }, { 4, 64, 32, 16, 32, true }, { 4, 32, 16, 8, 16, false },
        { 3, 20, 12, 6, 10, true }, { 7, 33, 5, 2, 31, false }, { 40, 48, 8, 4, 17, true },
    };

    public static TheoryData<int, int, int, int> Routings => new()
    {
        { 256, 8, 8, 4 }, { 64, 6, 1, 1 }, { 160, 6, 8, 3 }, { 8, 2, 4, 2 }, { 6, 2, 3, 2 }, { 4, 4, 2, 2 }, { 1, 1, 1, 1 },
    };

    public void Dispose()
    {
        _fast.Dispose();
        _scope.Dispose();
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Latent_attention_agrees_with_the_plain_version(int heads, int rank, int plain, int rotary, int value, bool interleaved)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16])
            AssertLatentAttentionAgrees(_plain, _fast, new(heads, rank, plain, rotary, value, 1 / MathF.Sqrt(plain + rotary), interleaved), type);
    }

    [Theory]
    [MemberData(nameof(Routings))]
    public void The_same_experts_are_chosen_with_the_same_weights(int experts, int perToken, int groups, int groupsPerToken)
    {
        foreach (var scoring in Enum.GetValues<ExpertScoring>())
        {
            foreach (var choice in Enum.GetValues<ExpertChoice>())
            {
                if (choice == ExpertChoice.NoAuxiliaryLoss && experts / groups < 2)
                    continue;
                var routing = new ExpertRouting
                {
                    Count = experts, PerToken = perToken, Scoring = scoring, Choice = choice, NormalizesWeights = perToken > 1, WeightScale = 2.5f,
                    Groups = choice == ExpertChoice.Greedy ? 1 : groups, GroupsPerToken = choice == ExpertChoice.Greedy ? 1 : groupsPerToken,
                };
                var logits = randn(200, experts);
                var bias = choice == ExpertChoice.NoAuxiliaryLoss ? randn(experts) * 0.3f : null;
                var wanted = new TorchExpertOps().Route(logits.clone(), bias, routing);
                var got = _fast.Features.Experts!.Route(logits.clone(), bias, routing);
                Assert.Equal(wanted.Ids.data<long>().ToArray(), got.Ids.data<long>().ToArray());
                AssertClose(wanted.Weights, got.Weights, ScalarType.Float32);
            }
        }
    }

    // The biases are so low that the scores of an excluded group, if taken as 0, would beat those of the chosen groups.
    [Fact]
    public void Groups_that_were_left_out_lose_to_any_score()
    {
        var routing = new ExpertRouting
        {
            Count = 4, PerToken = 2, Scoring = ExpertScoring.Sigmoid, Choice = ExpertChoice.NoAuxiliaryLoss, Groups = 2, GroupsPerToken = 1,
            NormalizesWeights = true, WeightScale = 1,
        };
        foreach (var ops in (IExpertOps[])[new TorchExpertOps(), _fast.Features.Experts!])
        {
            var choices = ops.Route(tensor(new float[,] { { 1, 2, 3, 4 } }), tensor([-5f, -5f, -3f, -3f]), routing);
            Assert.Equal([3L, 2L], choices.Ids.data<long>().ToArray());
        }
    }

    [Fact]
    public void Logits_that_are_no_numbers_choose_experts_all_the_same()
    {
        var routing = new ExpertRouting
        {
            Count = 8, PerToken = 2, Scoring = ExpertScoring.Softmax, Choice = ExpertChoice.GroupLimitedGreedy, Groups = 4, GroupsPerToken = 2,
            NormalizesWeights = false, WeightScale = 1,
        };
        var ids = _fast.Features.Experts!.Route(full([1, 8], float.NaN), null, routing).Ids.data<long>().ToArray();
        Assert.All(ids, id => Assert.InRange(id, 0, 7));
    }
}
