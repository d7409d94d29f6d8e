using LocalLlm.Layers;
using LocalLlm.Ops;

namespace LocalLlm.Models.Deepseek;

/// <summary>Reads the mixtures of experts from an untrusted config.json, with each generation's defaults.</summary>
/// <param name="fields">The top of the file.</param>
/// <param name="generation">The architecture's defaults.</param>
/// <param name="layers">Number of the model's layers.</param>
internal sealed class ExpertOptionsReader(ModelConfigFields fields, DeepseekGeneration generation, int layers)
{
    private const int MaxExperts = 4_096;
    private const int MaxWidth = 1 << 20;
    private const double MaxScale = 1e4;

    // Over all layers; the largest known model has 23,000.
    private const int MaxExpertsOfAllLayers = 65_536;

    /// <summary>Reads the options; null: every layer is dense.</summary>
    public ExpertOptions? Read()
    {
        if (fields.Int("n_routed_experts", 1, MaxExperts) is not { } count)
            return null;
        if (layers > 0 && (long)count * layers > MaxExpertsOfAllLayers)
            fields.Refuse("n_routed_experts", $"at most {MaxExpertsOfAllLayers / layers}: over num_hidden_layers ({layers}) that is {MaxExpertsOfAllLayers}");
        var width = fields.RequiredInt("moe_intermediate_size", 1, MaxWidth) ?? 1;
        var perToken = fields.RequiredInt("num_experts_per_tok", 1, count) ?? 1;
        var shared = fields.Int("n_shared_experts", 0, MaxExperts) ?? Absent("n_shared_experts", generation.SharedExperts, 0);
        if ((long)shared * width > MaxWidth)
            fields.Refuse("n_shared_experts", $"at most {MaxWidth / width}: together with moe_intermediate_size ({width}) they are wider than {MaxWidth}");
        var choice = ReadChoice();
        var (groups, groupsPerToken) = choice == ExpertChoice.Greedy ? (1, 1) : ReadGroups(count, perToken, choice);
        // DeepSeek-V2 does not normalise the weight of a single expert either.
        var normalizes = (fields.Bool("norm_topk_prob") ?? generation.NormalizesWeights) && (perToken > 1 || !generation.ScalesOrNormalizes);
        var scale = fields.PositiveNumber("routed_scaling_factor", MaxScale) ?? generation.WeightScale;
        return new(width, (int)Math.Min((long)shared * width, MaxWidth), new()
        {
            Count = count,
            PerToken = perToken,
            Scoring = ReadScoring(),
            Choice = choice,
            Groups = groups,
            GroupsPerToken = groupsPerToken,
            NormalizesWeights = normalizes,
            // DeepSeek-V2's own model code scales the weights only where it does not normalise them.
            WeightScale = normalizes && generation.ScalesOrNormalizes ? 1 : (float)scale,
        });
    }

    private ExpertScoring ReadScoring()
    {
        switch (fields.Text("scoring_func"))
        {
            case "softmax":
                return ExpertScoring.Softmax;
            case "sigmoid":
                return ExpertScoring.Sigmoid;
            case not null:
                fields.Refuse("scoring_func", "softmax or sigmoid");
                break;
        }

        return generation.Scoring;
    }

    private ExpertChoice ReadChoice()
    {
        switch (fields.Text("topk_method"))
        {
            case "greedy":
                return ExpertChoice.Greedy;
            case "group_limited_greedy":
                return ExpertChoice.GroupLimitedGreedy;
            case "noaux_tc":
                return ExpertChoice.NoAuxiliaryLoss;
            case not null:
                fields.Refuse("topk_method", "greedy, group_limited_greedy or noaux_tc");
                break;
        }

        return generation.Choice;
    }

    private (int Groups, int PerToken) ReadGroups(int experts, int perToken, ExpertChoice choice)
    {
        var groups = fields.Int("n_group", 1, experts) ?? Absent("n_group", generation.Groups, 1);
        if (groups == 1)
            return (1, 1);
        if (experts % groups != 0)
        {
            fields.Refuse("n_group", $"a divisor of n_routed_experts ({experts})");
            return (1, 1);
        }

        var size = experts / groups;
        if (choice == ExpertChoice.NoAuxiliaryLoss && size < 2)
            fields.Refuse("n_group", $"at most half of n_routed_experts ({experts}): a group is chosen by its two best experts");
        var chosen = fields.Int("topk_group", 1, groups) ?? Absent("topk_group", generation.GroupsPerToken, 1);
        if ((long)chosen * size < perToken)
            fields.Refuse("topk_group", $"a number of groups (of {size} experts each) that holds num_experts_per_tok ({perToken})");
        return (groups, chosen);
    }

    // Returns "absent" if the file does not name the field, else "other": for null and for a bad value.
    private int Absent(string name, int absent, int other) => fields.Has(name) ? other : absent;
}
