namespace LocalLlm.Grammars;

/// <summary>The possible values after all choices: each alternative is the list of plain parts that hold in it.</summary>
/// <param name="references">Resolves references.</param>
/// <param name="expansion">Expands parts.</param>
/// <param name="budget">Pays for the work.</param>
internal sealed class SchemaAlternatives(SchemaReferences references, SchemaExpansion expansion, SchemaBudget budget)
{
    private const int MaxMerged = 256; // alternatives that are read as one object

    /// <summary>Expands parts.</summary>
    /// <exception cref="GrammarException">A part cannot be enforced, or says nothing but itself.</exception>
    /// <exception cref="UnsatisfiableException">The parts exclude each other.</exception>
    public (List<SchemaPart> Plain, List<SchemaChoice> Choices) Expand(IReadOnlyList<SchemaPart> parts)
    {
        foreach (var part in parts.Where(part => part.Kind == SchemaPartKind.Whole))
            references.CheckNoCircle(part.Schema, part.At);
        budget.TakeBody();
        return expansion.Expand(parts);
    }

    /// <summary>The choice with the fewest alternatives, and everything else that holds.</summary>
    public static (SchemaChoice First, SchemaPart[] Others) Choose(List<SchemaPart> plain, List<SchemaChoice> choices)
    {
        var chosen = choices.MinBy(choice => choice.Alternatives.Count)!;
        return (chosen, [.. plain, .. choices.Where(choice => choice != chosen).Select(choice => choice.Source)]);
    }

    /// <summary>Collects all alternatives, with all choices made.</summary>
    /// <param name="plain">The parts that always hold.</param>
    /// <param name="choices">The choices left.</param>
    /// <param name="leaves">Receives the alternatives, each once.</param>
    /// <returns>False if there are too many.</returns>
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
