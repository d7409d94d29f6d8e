using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// The body of <c>/score</c>. It accepts every pair of names that vLLM has for the two lists. Only its form is validated here.
/// </summary>
internal sealed record ScoreRequest
{
    private static readonly (string First, string Second)[] Pairs = [("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2")];

    /// <summary>The first texts: one for all second texts, or one for each.</summary>
    public required IReadOnlyList<string> First { get; init; }

    /// <summary>The second texts.</summary>
    public required IReadOnlyList<string> Second { get; init; }

    /// <summary>The names of the two lists in the request.</summary>
    public required (string First, string Second) Names { get; init; }

    /// <summary>The fields that the pooling routes share.</summary>
    public required PoolingFields Common { get; init; }

    /// <summary>The weight of each kind of score; null: the server's weights.</summary>
    public HybridWeights? Weights { get; init; }

    /// <summary>Unknown fields of the body.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Reads <paramref name="body"/>; the result outlives the body's document.</summary>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static ScoreRequest Read(JsonElement body)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        var common = PoolingFields.Read(fields, errors);
        var names = NamesOf(fields, errors);
        var first = TextList.Read(fields, errors, names.First, allowBare: true);
        var second = TextList.Read(fields, errors, names.Second, allowBare: true);
        foreach (var (name, texts) in ((string, IReadOnlyList<TextItem>?)[])[(names.First, first), (names.Second, second)])
        {
            if (texts is null && errors.Count == 0)
                errors.Add(name, "nothing", "a text or a list of texts");
        }

        if (first is not null && second is not null && first.Count != 1 && first.Count != second.Count)
            errors.Add(names.First, $"{first.Count} texts, but {second.Count} in {names.Second}", "one text, or as many as in the other list");
        var request = new ScoreRequest
        {
            First = [.. (first ?? []).Select(text => text.Text)],
            Second = [.. (second ?? []).Select(text => text.Text)],
            Names = names,
            Common = common,
            Weights = ScoreWeights.Read(fields, errors),
        };
        errors.ThrowIfAny();
        return request with { Unknown = fields.Unconsumed };
    }

    // Returns the pair of names of which the request has the most fields; fields of other pairs are there by mistake.
    private static (string First, string Second) NamesOf(JsonFields fields, RequestErrors errors)
    {
        var names = Pairs.MaxBy(pair => (IsGiven(pair.First) ? 1 : 0) + (IsGiven(pair.Second) ? 1 : 0));
        var others = Pairs.SelectMany(pair => (string[])[pair.First, pair.Second]).Where(name => name != names.First && name != names.Second && IsGiven(name)).Distinct();
        foreach (var other in others)
            errors.Add(other, $"{other} beside {names.First} and {names.Second}", "one pair of names");
        return names;

        bool IsGiven(string name) => fields.Take(name) is not null;
    }
}
