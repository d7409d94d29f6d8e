using LocalLlm.Ops;

namespace LocalLlm.Models.Deepseek;

/// <summary>How DeepSeek-V2 and V3 differ, and the defaults of transformers' configuration classes for absent fields.</summary>
internal sealed record DeepseekGeneration
{
    /// <summary>DeepSeek-V2 and V2-Lite (arXiv 2405.04434).</summary>
    public static DeepseekGeneration V2 { get; } = new()
    {
        MaxPositionEmbeddings = 2_048,
        Scoring = ExpertScoring.Softmax,
        Choice = ExpertChoice.Greedy,
        NormalizesWeights = false,
        WeightScale = 1,
        ScalesOrNormalizes = true,
        FirstKDenseReplace = 0,
        SharedExperts = 0,
        Groups = 1,
        GroupsPerToken = 1,
    };

    /// <summary>DeepSeek-V3, R1 and V3.1 (arXiv 2412.19437).</summary>
    public static DeepseekGeneration V3 { get; } = new()
    {
        MaxPositionEmbeddings = 4_096,
        Scoring = ExpertScoring.Sigmoid,
        Choice = ExpertChoice.NoAuxiliaryLoss,
        NormalizesWeights = true,
        WeightScale = 2.5,
        ScalesOrNormalizes = false,
        FirstKDenseReplace = 3,
        SharedExperts = 1,
        Groups = 8,
        GroupsPerToken = 4,
    };

    /// <summary>Context length where <c>max_position_embeddings</c> is absent.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>The scoring where <c>scoring_func</c> is absent.</summary>
    public required ExpertScoring Scoring { get; init; }

    /// <summary>The choice where <c>topk_method</c> is absent.</summary>
    public required ExpertChoice Choice { get; init; }

    /// <summary>The value where <c>norm_topk_prob</c> is absent.</summary>
    public required bool NormalizesWeights { get; init; }

    /// <summary>The value where <c>routed_scaling_factor</c> is absent.</summary>
    public required double WeightScale { get; init; }

    /// <summary>Whether normalised weights of experts stay unscaled.</summary>
    public required bool ScalesOrNormalizes { get; init; }

    /// <summary>The value where <c>n_shared_experts</c> is absent; an explicit null means none.</summary>
    public required int SharedExperts { get; init; }

    /// <summary>The value where <c>n_group</c> is absent; an explicit null means 1.</summary>
    public required int Groups { get; init; }

    /// <summary>The value where <c>topk_group</c> is absent; an explicit null means 1.</summary>
    public required int GroupsPerToken { get; init; }

    /// <summary>The value where <c>first_k_dense_replace</c> is absent.</summary>
    public required int FirstKDenseReplace { get; init; }
}
