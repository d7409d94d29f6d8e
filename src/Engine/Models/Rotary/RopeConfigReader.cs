using System.Text.Json;
using LocalLlm.Weights;

namespace LocalLlm.Models.Rotary;

/// <summary>
/// Reads the rotary embedding from config.json with the precedence of transformers 5: <c>rope_scaling</c> unless it is empty, else
/// <c>rope_parameters</c>; for theta the field inside that object, else <c>rope_theta</c>, else 10,000. An unknown field inside the object
/// is refused, because it may change the result.
/// </summary>
/// <param name="root">The top of config.json.</param>
/// <param name="problems">Collects the problems.</param>
internal sealed class RopeConfigReader(ModelConfigFields root, ModelFolderProblems problems)
{
    private const double MaxTheta = 1e15;
    private const double MaxFactor = 1e6;
    private const int MaxPositions = 1 << 27;

    private static readonly string[] s_types = ["default", "linear", "dynamic", "llama3", "yarn"];

    // "finetuned" comes from YaRN's own training scripts; no program reads it.
    private static readonly HashSet<string> s_known = new(StringComparer.Ordinal)
    {
        "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings",
        "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate", "partial_rotary_factor", "finetuned",
    };

    // vLLM multiplies by these; 1 changes nothing.
    private static readonly HashSet<string> s_neutralAtOne = new(StringComparer.Ordinal) { "attn_factor", "extrapolation_factor" };

    /// <summary>Reads and checks everything about rotary embeddings.</summary>
    /// <param name="maxPositionEmbeddings">The model's context length.</param>
    /// <param name="headDim">Dimensions of a head; 0: unknown.</param>
    public RopeConfig Read(int maxPositionEmbeddings, int headDim)
    {
        var name = IsEmpty("rope_scaling") ? "rope_parameters" : "rope_scaling";
        var scaling = root.Object(name);
        RefusePartialRotation(root);
        var rope = new RopeConfig { Theta = ReadTheta(scaling) };
        if (scaling is null || ReadType(scaling, name) is not { } type)
            return rope;

        RefuseUnknown(scaling, name);
        RefusePartialRotation(scaling);
        rope = rope with { RopeType = type };
        if (type == RopeType.Default)
            return rope;
        var original = ReadOriginalLength(scaling, maxPositionEmbeddings);
        rope = rope with { Factor = ReadFactor(scaling, type, (double)maxPositionEmbeddings / original) };
        switch (type)
        {
            case RopeType.Dynamic when headDim == 2:
                problems.Add("head_dim: found 2, wanted at least 4 for dynamic rope scaling");
                return rope;
            case RopeType.Llama3:
                return ReadLlama3(scaling, rope with { OriginalMaxPositionEmbeddings = original });
            case RopeType.Yarn:
                return ReadYarn(scaling, rope with { OriginalMaxPositionEmbeddings = original });
            default:
                return rope;
        }
    }

    private bool IsEmpty(string name) =>
        root.Value(name) is not { } value || (value.ValueKind == JsonValueKind.Object && !value.EnumerateObject().Any());

    private double ReadTheta(ModelConfigFields? scaling)
    {
        var holder = scaling?.Value("rope_theta") is not null ? scaling : root;
        return holder.Number("rope_theta", 1, MaxTheta) ?? new RopeConfig().Theta;
    }

    private RopeType? ReadType(ModelConfigFields scaling, string name)
    {
        var modern = scaling.Text("rope_type");
        var legacy = scaling.Text("type");
        if (modern is not null && legacy is not null && modern != legacy)
        {
            problems.Add(
                $"{name}: found rope_type {ModelFolderProblems.Quote(modern)} and type {ModelFolderProblems.Quote(legacy)}, " +
                "wanted one of them or both the same");
            return null;
        }

        if (scaling.Value("rope_type") is null && scaling.Value("type") is null)
        {
            foreach (var field in scaling.All)
            {
                if (field.Value.ValueKind != JsonValueKind.Object)
                    continue;
                problems.Add($"{name}.{Cut(field.Name)}: found an object, wanted one set of rope parameters for all layers");
                return null;
            }

            if (scaling.Value("factor") is null)
                return RopeType.Default;
            scaling.Refuse("rope_type", $"one of {string.Join(", ", s_types)}, since factor is given");
            return null;
        }

        if ((modern ?? legacy) is not { } text)
            return null;
        var type = Array.IndexOf(s_types, text);
        if (type >= 0)
            return (RopeType)type;
        scaling.Refuse(modern is null ? "type" : "rope_type", $"one of {string.Join(", ", s_types)}");
        return null;
    }

    private void RefuseUnknown(ModelConfigFields scaling, string name)
    {
        foreach (var field in scaling.All)
        {
            if (s_known.Contains(field.Name) || field.Value.ValueKind == JsonValueKind.Null)
                continue;
            if (s_neutralAtOne.Contains(field.Name) && field.Value.ValueKind == JsonValueKind.Number && field.Value.GetDouble() == 1)
                continue;
            problems.Add(
                $"{name}.{Cut(field.Name)}: found {ModelConfigFields.Describe(field.Value)}, " +
                "wanted no such field: this build does not know what it changes");
        }
    }

    private static void RefusePartialRotation(ModelConfigFields holder)
    {
        if (holder.Value("partial_rotary_factor") is not null && holder.PositiveNumber("partial_rotary_factor", 1) is { } share and not 1)
            holder.Refuse("partial_rotary_factor", "1: this architecture rotates whole heads");
    }

    // As in transformers, a length at the top of the file takes precedence.
    private int ReadOriginalLength(ModelConfigFields scaling, int maxPositionEmbeddings) =>
        root.Int("original_max_position_embeddings", 1, MaxPositions)
        ?? scaling.Int("original_max_position_embeddings", 1, MaxPositions)
        ?? maxPositionEmbeddings;

    // With a factor below 1 transformers warns, the context would shrink, and dynamic NTK would take a root of a negative number.
    private static double ReadFactor(ModelConfigFields scaling, RopeType type, double implied)
    {
        const string Wanted = "a number from 1";
        if (scaling.Value("factor") is not null)
            return scaling.Number("factor", 1, MaxFactor) ?? 1;

        // transformers reads an explicit null as the ratio of the lengths, and refuses a missing factor.
        var isImplied = type == RopeType.Yarn && scaling.Has("factor") && implied >= 1;
        if (!isImplied)
            scaling.Refuse("factor", Wanted);
        return isImplied ? implied : 1;
    }

    private static RopeConfig ReadLlama3(ModelConfigFields scaling, RopeConfig rope)
    {
        var low = scaling.PositiveNumber("low_freq_factor", MaxFactor);
        var high = scaling.PositiveNumber("high_freq_factor", MaxFactor);
        if (scaling.Value("low_freq_factor") is null)
            scaling.Refuse("low_freq_factor", "a number");
        if (scaling.Value("high_freq_factor") is null)
            scaling.Refuse("high_freq_factor", "a number");
        if (high <= low)
            scaling.Refuse("high_freq_factor", "a number above low_freq_factor");
        return rope with { LowFreqFactor = low ?? rope.LowFreqFactor, HighFreqFactor = high ?? rope.HighFreqFactor };
    }

    private static RopeConfig ReadYarn(ModelConfigFields scaling, RopeConfig rope)
    {
        // 0 means absent in the reference (`or`).
        var fast = NotZero(scaling.Number("beta_fast", 0, MaxFactor)) ?? rope.BetaFast;
        var slow = NotZero(scaling.Number("beta_slow", 0, MaxFactor)) ?? rope.BetaSlow;
        if (fast < slow)
            scaling.Refuse("beta_fast", "a number not below beta_slow");
        if (rope.Theta <= 1)
            scaling.Refuse("rope_theta", "a number above 1 for yarn");
        return rope with
        {
            BetaFast = fast,
            BetaSlow = slow,
            AttentionFactor = scaling.PositiveNumber("attention_factor", MaxFactor),
            Mscale = NotZero(scaling.Number("mscale", 0, MaxFactor)),
            MscaleAllDim = NotZero(scaling.Number("mscale_all_dim", 0, MaxFactor)),
            Truncate = scaling.Bool("truncate") ?? true,
        };
    }

    private static double? NotZero(double? value) => value is 0 ? null : value;

    private static string Cut(string name) => ModelFolderProblems.Quote(name);
}
