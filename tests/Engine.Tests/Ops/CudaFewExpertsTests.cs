using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using TorchSharp;
using Xunit;
using static LocalLlm.Tests.Ops.OpsScenarios;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Holds experts of few tokens, which a GPU sorts as it chooses them, to those that it sorts afterwards.</summary>
public sealed class CudaFewExpertsTests : IDisposable
{
    private readonly CudaOps _cuda;
    private readonly DisposeScope _scope;

    public CudaFewExpertsTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        _cuda = new(0);
        _scope = NewDisposeScope();
        manual_seed(7);
    }

    public void Dispose()
    {
        _scope?.Dispose();
        _cuda?.Dispose();
    }

    // As many tokens as one block chooses for and sorts, and one more; a step with and without rows that pad it.
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    [InlineData(8, 8)]
    [InlineData(5, 8)]
    [InlineData(9, 9)]
    public void Few_tokens_are_sorted_as_their_experts_are_chosen(int tokens, int rows)
    {
        const int hidden = 128;
        var ops = _cuda.Features.Experts!;
        foreach (var (count, perToken, groups) in ((int, int, int)[])[(64, 6, 2), (20, 3, 4)])
        {
            var routing = new ExpertRouting
            {
                Count = count, PerToken = perToken, Scoring = ExpertScoring.Sigmoid, Choice = ExpertChoice.NoAuxiliaryLoss, NormalizesWeights = true,
                WeightScale = 2.5f, Groups = groups, GroupsPerToken = groups / 2,
            };
            using var metadata = new AttentionMetadata();
            for (var token = 0; token < tokens; token++)
                Append(metadata, 0, 1, [token]);
            _cuda.BeginStep(new int[tokens], metadata, rows);
            var (x, logits, bias) = (randn(rows, hidden).to(ScalarType.BFloat16).cuda(), randn(rows, count).cuda(), (randn(count) * 0.1f).cuda());
            // All of the experts, and a rank's share of them.
            foreach (var (first, own) in ((int, int)[])[(0, count), (count / 4, count / 2)])
            {
                foreach (var joins in first == 0 ? (bool[])[false, true] : [false])
                {
                    using var all = new ExpertOpsTests.Experts(
                        _cuda, ExpertOpsTests.Kind.Unquantized, ScalarType.BFloat16, first, own + (joins ? 1 : 0), hidden, 64) { Total = count };
                    IExperts experts = joins ? new CudaExpertOpsTests.WithShared(all) : all;
                    var apart = ops.Route(logits, bias, routing, joins);
                    var (ids, weights) = (apart.Ids.cpu(), apart.Weights.cpu());
                    var wanted = ops.TrySum(x, apart, experts)!.cpu();
                    var (counted, both) = (new long[count], new long[count]);
                    _cuda.Card.Synchronize();
                    ops.ReadUsage([new(experts, counted)]);

                    var choices = ops.Route(logits, bias, routing, joins, experts);
                    Assert.Same(rows <= 8 ? experts : null, choices.SortedFor);
                    Assert.True(choices.Ids.cpu().eq(ids).all().item<bool>());
                    Assert.True(choices.Weights.cpu().eq(weights).all().item<bool>());
                    Assert.True(ops.TrySum(x, choices, experts)!.cpu().eq(wanted).all().item<bool>());
                    _cuda.Card.Synchronize();
                    ops.ReadUsage([new(experts, both)]);
                    Assert.Equal(tokens * perToken, counted.Sum());
                    Assert.Equal(counted.Select(number => 2 * number), both);
                    ops.Forget(experts);
                }
            }
        }
    }
}
