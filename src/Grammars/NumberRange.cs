using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>The conditions on a number.</summary>
internal sealed class NumberRange
{
    /// <summary>The lower bound; null: none.</summary>
    public NumberBound? Low { get; private set; }

    /// <summary>The upper bound; null: none.</summary>
    public NumberBound? High { get; private set; }

    /// <summary>The value must be a multiple of each.</summary>
    public List<SchemaDecimal> Multiples { get; } = [];

    /// <summary>The value must be a multiple of none.</summary>
    public List<SchemaDecimal> NotMultiples { get; } = [];

    /// <summary>Values that are not allowed.</summary>
    public List<SchemaDecimal> Excluded { get; } = [];

    /// <summary>Whether some number is not allowed.</summary>
    public bool IsLimited => Low is not null || High is not null || IsSifted;

    /// <summary>Whether there are conditions other than bounds.</summary>
    public bool IsSifted => Multiples.Count + NotMultiples.Count + Excluded.Count > 0;

    /// <summary>Adds the conditions of a schema.</summary>
    /// <exception cref="GrammarException">A number is too long.</exception>
    public void Add(JsonElement schema, string at)
    {
        // Draft 4 has a flag beside the bound; later drafts have a separate keyword for an exclusive bound.
        if (schema.TryGetProperty("minimum", out var low))
            AddLow(new(Number(low, $"{at}/minimum"), IsStrict(schema, "exclusiveMinimum")));
        if (schema.TryGetProperty("exclusiveMinimum", out var above) && above.ValueKind == JsonValueKind.Number)
            AddLow(new(Number(above, $"{at}/exclusiveMinimum"), true));
        if (schema.TryGetProperty("maximum", out var high))
            AddHigh(new(Number(high, $"{at}/maximum"), IsStrict(schema, "exclusiveMaximum")));
        if (schema.TryGetProperty("exclusiveMaximum", out var below) && below.ValueKind == JsonValueKind.Number)
            AddHigh(new(Number(below, $"{at}/exclusiveMaximum"), true));
        if (schema.TryGetProperty("multipleOf", out var factor))
            Multiples.Add(Positive(factor, $"{at}/multipleOf"));
    }

    /// <summary>Adds the negation of one keyword of a schema.</summary>
    /// <exception cref="GrammarException">A number is too long.</exception>
    public void AddNegated(JsonElement schema, string word, string at)
    {
        var value = Number(schema.GetProperty(word), $"{at}/{word}");
        switch (word)
        {
            case "minimum":
                AddHigh(new(value, !IsStrict(schema, "exclusiveMinimum")));
                break;
            case "exclusiveMinimum":
                AddHigh(new(value, false));
                break;
            case "maximum":
                AddLow(new(value, !IsStrict(schema, "exclusiveMaximum")));
                break;
            case "exclusiveMaximum":
                AddLow(new(value, false));
                break;
            default:
                NotMultiples.Add(Positive(schema.GetProperty(word), $"{at}/{word}"));
                break;
        }
    }

    /// <summary>Excludes a value.</summary>
    public void Exclude(JsonElement value) => Excluded.Add(Number(value, "enum"));

    private static bool IsStrict(JsonElement schema, string word) => schema.TryGetProperty(word, out var flag) && flag.ValueKind == JsonValueKind.True;

    private void AddLow(NumberBound bound)
    {
        if (Low is not { } known || bound.Value > known.Value || (bound.Value == known.Value && bound.IsExclusive))
            Low = bound;
    }

    private void AddHigh(NumberBound bound)
    {
        if (High is not { } known || bound.Value < known.Value || (bound.Value == known.Value && bound.IsExclusive))
            High = bound;
    }

    private static SchemaDecimal Positive(JsonElement value, string at) =>
        Number(value, at) is { Sign: > 0 } number ? number : throw new GrammarException($"{at}: must be above 0, found {value.GetRawText()}");

    private static SchemaDecimal Number(JsonElement value, string at) =>
        value.ValueKind == JsonValueKind.Number && SchemaDecimal.TryParse(value.GetRawText(), out var number)
            ? number
            : throw new GrammarException($"{at}: only numbers of at most 40 characters and exponents of at most 308 can be enforced, found {value.GetRawText()}");
}

/// <summary>A bound on numbers.</summary>
/// <param name="Value">The bound.</param>
/// <param name="IsExclusive">Whether the bound itself is not allowed.</param>
internal readonly record struct NumberBound(SchemaDecimal Value, bool IsExclusive);
