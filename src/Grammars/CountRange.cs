using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>How many of something there may be.</summary>
internal sealed class CountRange
{
    private const int MaxCount = 1_000_000;

    /// <summary>Fewest.</summary>
    public int Least { get; private set; }

    /// <summary>Most; null: any number.</summary>
    public int? Most { get; private set; }

    /// <summary>Whether not every number is allowed.</summary>
    public bool IsLimited => Least > 0 || Most is not null;

    /// <summary>Whether no number is.</summary>
    public bool IsEmpty => Most < Least;

    /// <summary>Takes the bounds of a schema.</summary>
    /// <exception cref="GrammarException">One is no whole number, or too large.</exception>
    public void Add(JsonElement schema, string least, string most, string at)
    {
        if (schema.TryGetProperty(least, out var low))
            Least = Math.Max(Least, Count(low, $"{at}/{least}"));
        if (schema.TryGetProperty(most, out var high))
            Most = Math.Min(Most ?? int.MaxValue, Count(high, $"{at}/{most}"));
    }

    /// <summary>Takes what is beyond a bound.</summary>
    public void AddNegated(JsonElement schema, string word, string at)
    {
        var bound = Count(schema.GetProperty(word), $"{at}/{word}");
        if (word.StartsWith("max", StringComparison.Ordinal))
            Least = Math.Max(Least, bound + 1);
        else
            Most = Math.Min(Most ?? int.MaxValue, bound - 1);
    }

    private static int Count(JsonElement value, string at) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= 0 && number == Math.Floor(number)
            ? number <= MaxCount ? (int)number : throw new GrammarException($"{at}: is {value.GetRawText()}; at most {MaxCount}")
            : throw new GrammarException($"{at}: must be a whole number, found {value.GetRawText()}");
}
