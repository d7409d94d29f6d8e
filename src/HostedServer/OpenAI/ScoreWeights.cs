using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>The weight of each kind of score: a request's field <c>weights</c>, else the server's weights.</summary>
internal static class ScoreWeights
{
    private const string Field = "weights";
    private const string Names = "dense, sparse and multi_vector";

    /// <summary>Reads the field; null if it is absent or invalid.</summary>
    public static HybridWeights? Read(JsonFields fields, RequestErrors errors)
    {
        if (fields.Json(Field, JsonValueKind.Object, $"an object with {Names}, such as {{\"dense\": 0.4, \"sparse\": 0.2, \"multi_vector\": 0.4}}") is not { } given)
            return null;
        var before = errors.Count;
        var (dense, sparse, multiVector) = (0.0, 0.0, 0.0);
        foreach (var member in given.EnumerateObject())
        {
            switch (member.Name)
            {
                case "dense":
                    dense = Weight(member);
                    break;
                case "sparse":
                    sparse = Weight(member);
                    break;
                case "multi_vector":
                    multiVector = Weight(member);
                    break;
                default:
                    errors.Add($"{Field}.{member.Name}", "a weight of that name", Names);
                    break;
            }
        }

        if (errors.Count > before)
            return null;
        var sum = dense + sparse + multiVector;
        if (sum > 0 && double.IsFinite(sum))
            return new(dense, sparse, multiVector);
        errors.Add(Field, sum > 0 ? "weights with an infinite sum" : "no weight above 0", $"{Names}, at least one above 0, with a finite sum");
        return null;

        double Weight(JsonProperty member)
        {
            if (member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetDouble(out var weight) && double.IsFinite(weight) && weight >= 0)
                return weight;
            if (member.Value.ValueKind != JsonValueKind.Null)
                fields.Refuse($"{Field}.{member.Name}", member.Value, "a number of 0 or more");
            return 0;
        }
    }

    /// <summary>Returns the server's weights for the kinds of score that a model has.</summary>
    /// <exception cref="ApiException">400: the model has no kind of score with a weight.</exception>
    public static HybridWeights Of(LocalLlmServerOptions options, EmbeddingEngine engine) => (options.ScoreWeights ?? HybridWeights.Default).Within(engine.Kinds)
        ?? throw new ApiException(ApiError.Invalid($"{Field}: the server's default weights (--score-weights) cover none of the kinds that '{engine.ModelName}' computes ({engine.Kinds}); send {Field} for one of them.", Field));
}
