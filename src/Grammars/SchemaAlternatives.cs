namespace LocalLlm.Grammars;

/// <summary>What a value may be when all choices are made: each alternative as the plain parts that hold in it.</summary>
/// <param name="references">Where references lead.</param>
/// <param name="expansion">Takes parts apart.</param>
/// <param name="budget">Pays for it.</param>
internal sealed class SchemaAlternatives(SchemaReferences references, SchemaExpansion expansion, SchemaBudget budget)
{
    private const int MaxMerged = 256; // alternatives that are read as one object

    /// <summary>Takes parts apart.</summary>
    /// <exception cref="GrammarException">Something cannot be kept to, or says nothing but itself.</exception>
    /// <exception cref="UnsatisfiableException">The parts exclude each other.</exception>
    public (List<SchemaPart> Plain, List<SchemaChoice> Choices) Expand(IReadOnlyList<SchemaPart> parts)
    {
        foreach (var part in parts.Where(part => part.Kind == SchemaPartKind.Whole))
            references.CheckNoCircle(part.Schema, part.At);
        budget.TakeBody();
        return expansion.Expand(parts);
    }

    /// <summary>The choice with the fewest alternatives, and all else that holds.</summary>
    public static (SchemaChoice First, SchemaPart[] Others) Choose(List<SchemaPart> plain, List<SchemaChoice> choices)
    {
        var chosen = choices.MinBy(choice => choice.Alternatives.Count)!;
        return (chosen, [.. plain, .. choices.Where(choice => choice != chosen).Select(choice => choice.Source)]);
    }

    /// <summary>All that a value may be, choices made.</summary>
    /// <param name="plain">What holds in any case.</param>
    /// <param name="choices">Choices that are left.</param>
    /// <param name="leaves">Gets the alternatives, each once.</param>
    /// <returns>Whether they are not too many.</returns>
    public bool Collect(List<SchemaPart> plain, List<SchemaChoice> choices, Dictionary<string, SchemaShape> leaves)
    {
        if (leaves.Count > MaxMerged)
            return false;
        if (choices.Count == 0)
        {
            leaves.TryAdd(SchemaPart.KeyOf(plain), new(plain));
            return leaves.Count <= MaxMerged;
        }

        var (chosen, rest) = Choose(plain, choices);
        foreach (var alternative in chosen.Alternatives)
        {
            try
            {
                var (inner, further) = Expand([.. alternative, .. rest]);
                if (!Collect(inner, further, leaves))
                    return false;
            }
            catch (UnsatisfiableException)
            {
            }
        }

        return true;
    }
}
