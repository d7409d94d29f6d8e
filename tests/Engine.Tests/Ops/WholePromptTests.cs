using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>Compares latent attention of whole prompts with plain sums; libtorch's attention has a version for CPUs, too.</summary>
public class WholePromptTests
{
    // Rows that need padding, and rows that do not; all heads at once, and some at a time.
    [Theory]
    [InlineData(1024, 3, long.MaxValue)]
    [InlineData(1030, 3, long.MaxValue)]
    [InlineData(1030, 5, 2 * 2048 * 24 * sizeof(float))]
    public void Attention_of_whole_prompts_is_that_of_plain_sums(int tokens, int heads, long maxBytes)
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        manual_seed(2);
        var shape = new LatentAttentionShape(heads, 32, 16, 8, 12, 0.3f, Interleaved: true);
        using var workspace = new CudaWorkspace(CPU);
        // What an earlier prompt left in the buffers for keys and values must not reach a result.
        foreach (var slot in (WorkspaceSlot[])[WorkspaceSlot.Keys, WorkspaceSlot.Values])
            workspace.Rent(slot, 1, 5 * 2048 * 24, ScalarType.Float32).fill_(float.NaN);
        var (queries, context) = (randn(tokens, heads * shape.QueryDim), randn(tokens, shape.RowWidth));
        using var weight = new LatentWeight(randn(heads, shape.Rank, shape.PlainDim) / 6, randn(heads, shape.ValueDim, shape.Rank) / 6);
        // The prompt's rows are part of a larger step.
        var output = full([tokens + 2, heads * shape.ValueDim], float.NaN).narrow(0, 1, tokens);

        var whole = new WholePrompt(workspace, maxBytes, new(kernels: null));
        whole.Forward(queries, weight, context, shape, output);
        Assert.Equal(maxBytes == long.MaxValue, whole.TakesAll(queries, shape));

        var latent = context.narrow(1, 0, shape.Rank);
        var keys = cat([latent.matmul(weight.Keys), context.narrow(1, shape.Rank, shape.RotaryDim).expand(heads, -1, -1)], 2);
        var scores = queries.view(tokens, heads, shape.QueryDim).transpose(0, 1).matmul(keys.transpose(1, 2)) * shape.Scale;
        var weights = scores.masked_fill(ones([tokens, tokens], ScalarType.Bool).triu(1), float.NegativeInfinity).softmax(-1);
        var wanted = weights.matmul(latent.matmul(weight.Values.transpose(1, 2))).transpose(0, 1).reshape(tokens, -1);
        Assert.InRange((output - wanted).abs().max().item<float>(), 0, 1e-4f);
        if (whole.TakesAll(queries, shape))
            Assert.True(whole.ForwardAll(queries, weight, context, shape).eq(output).all().item<bool>());
    }

    // Fewer rows leave room for more heads at once, which together may need more memory.
    [Fact]
    public void No_shorter_prompt_takes_more_room_than_the_longest()
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        var shape = new LatentAttentionShape(6, 16, 8, 8, 8, 0.3f, Interleaved: true);
        var maxBytes = (7 * 1024 * shape.QueryDim * sizeof(float)) + 1;
        using var workspace = new CudaWorkspace(CPU);
        using var weight = new LatentWeight(randn(6, shape.Rank, shape.PlainDim), randn(6, shape.ValueDim, shape.Rank));
        foreach (var slot in (WorkspaceSlot[])[WorkspaceSlot.Keys, WorkspaceSlot.Values])
            workspace.Reserve(slot, maxBytes / sizeof(float), ScalarType.Float32);
        foreach (var tokens in (int[])[4096, 3000, 2048, 1100, 1024])
        {
            var queries = randn(tokens, 6 * shape.QueryDim);
            new WholePrompt(workspace, maxBytes, new(kernels: null)).Forward(queries, weight, randn(tokens, shape.RowWidth), shape, zeros(tokens, 6 * shape.ValueDim));
            if (tokens == 4096)
                workspace.Settle();
            Assert.Empty(workspace.Grown);
        }
    }
}
