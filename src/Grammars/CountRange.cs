using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>An allowed range of counts.</summary>
internal sealed class CountRange
{
    private const int MaxCount = 1_000_000;

    /// <summary>The minimum.</summary>
    public int Least { get; private set; }

    /// <summary>The maximum; null: none.</summary>
    public int? Most { get; private set; }

    /// <summary>Whether some count is not allowed.</summary>
    public bool IsLimited => Least > 0 || Most is not null;

    /// <summary>Whether no count is allowed.</summary>
    public bool IsEmpty => Most < Least;

    /// <summary>Applies the bounds that a schema sets.</summary>
    /// <exception cref="GrammarException">A bound is not a whole number, or is too large.</exception>
    public void Add(JsonElement schema, string least, string most, string at)
    {
        if (schema.TryGetProperty(least, out var low))
            Least = Math.Max(Least, Count(low, $"{at}/{least}"));
        if (schema.TryGetProperty(most, out var high))
            Most = Math.Min(Most ?? int.MaxValue, Count(high, $"{at}/{most}"));
    }

    /// <summary>Applies the negation of one bound.</summary>
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
