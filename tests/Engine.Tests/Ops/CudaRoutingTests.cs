using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares a GPU's choice of experts with the plain version on the CPU.</summary>
public sealed class CudaRoutingTests : IDisposable
{
    private readonly CudaOps _cuda;
    private readonly DisposeScope _scope;

    public CudaRoutingTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        CardTypes.SkipBeforeAmpere();
        _cuda = new(0);
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    public static TheoryData<int, int, int, int> Routings => new()
    {
        { 256, 8, 8, 4 }, { 64, 6, 1, 1 }, { 160, 6, 8, 3 }, { 8, 2, 4, 2 }, { 6, 2, 3, 2 }, { 4, 4, 2, 2 }, { 80, 4, 40, 5 }, { 256, 20, 64, 32 },
        { 1024, 32, 64, 32 }, { 1024, 33, 1, 1 }, { 1280, 8, 8, 4 }, { 512, 8, 256, 16 },
    };

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    [Theory]
    [MemberData(nameof(Routings))]
    public void The_same_experts_are_chosen_with_the_same_weights(int experts, int perToken, int groups, int groupsPerToken)
    {
        foreach (var scoring in Enum.GetValues<ExpertScoring>())
        {
            foreach (var choice in Enum.GetValues<ExpertChoice>())
            {
                var routing = new ExpertRouting
                {
                    Count = experts, PerToken = perToken, Scoring = scoring, Choice = choice, NormalizesWeights = perToken > 2, WeightScale = 2.5f,
                    Groups = choice == ExpertChoice.Greedy ? 1 : groups, GroupsPerToken = choice == ExpertChoice.Greedy ? 1 : groupsPerToken,
                };
                var logits = randn(200, experts);
                var bias = choice == ExpertChoice.NoAuxiliaryLoss ? randn(experts) * 0.3f : null;
                var wanted = new TorchExpertOps().Route(logits.clone(), bias, routing);
                var got = _cuda.Features.Experts!.Route(logits.cuda(), bias?.cuda(), routing);
                AssertSameChoices(wanted, new(got.Ids.cpu().to(ScalarType.Int64), got.Weights.cpu()), logits, bias, scoring);
            }
        }
    }

    // Among a thousand random scores, two may be adjacent floats, and a card's exponential differs from the host's in the last bit.
    private static void AssertSameChoices(ExpertChoices wanted, ExpertChoices got, Tensor logits, Tensor? bias, ExpertScoring scoring)
    {
        var scores = scoring == ExpertScoring.Softmax ? softmax(logits, 1) : sigmoid(logits);
        var candidates = bias is null ? scores : scores + bias;
        var differ = wanted.Ids.ne(got.Ids);
        var between = (candidates.gather(1, wanted.Ids) - candidates.gather(1, got.Ids)).abs();
        var isTie = between.le(1e-6f * candidates.gather(1, wanted.Ids).abs());
        Assert.True(differ.logical_not().logical_or(isTie).all().item<bool>());
        var alike = differ.any(1).logical_not();
        Assert.InRange(alike.sum().item<long>(), logits.size(0) * 9 / 10, logits.size(0));
        AssertClose(wanted.Weights[alike], got.Weights[alike], ScalarType.Float32);
    }
}
