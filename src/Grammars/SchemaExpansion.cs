using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>A choice: one of the alternatives holds in addition to everything else.</summary>
/// <param name="Source">The part that causes the choice.</param>
/// <param name="Alternatives">At least two; all parts of one alternative hold together.</param>
internal sealed record SchemaChoice(SchemaPart Source, IReadOnlyList<SchemaPart[]> Alternatives);

/// <summary>
/// Expands what schemas say about a value: follows references, joins <c>allOf</c>, pushes negations inwards (De Morgan), and
/// makes choices that have one possible outcome. The result is plain parts, which all hold, and choices.
/// </summary>
/// <param name="references">Resolves references.</param>
/// <param name="budget">Pays for the work.</param>
internal sealed class SchemaExpansion(SchemaReferences references, SchemaBudget budget)
{
    private readonly SchemaOverlap _overlap = new(references, budget);
    private SchemaNegation? _negation;

    /// <summary>Expands parts.</summary>
    /// <param name="parts">The parts that hold.</param>
    /// <exception cref="GrammarException">A part cannot be enforced.</exception>
    /// <exception cref="UnsatisfiableException">The parts exclude each other.</exception>
    public (List<SchemaPart> Plain, List<SchemaChoice> Choices) Expand(IEnumerable<SchemaPart> parts)
    {
        var open = new List<SchemaPart>();
        var plain = new List<SchemaPart>();
        var seen = new HashSet<string>();
        var queue = new Queue<SchemaPart>(parts);
        while (true)
        {
            while (queue.TryDequeue(out var part))
            {
                if (seen.Add(part.Key))
                    Take(part, queue, plain, open);
            }

            var known = new SchemaKnown(plain, _overlap);
            var choices = new List<SchemaChoice>();
            foreach (var source in open)
            {
                budget.TakeParts(1);
                var alternatives = known.Possible(Alternatives(source, known), out var isDecided);
                if (isDecided)
                    continue;
                if (alternatives.Count == 0)
                    throw new UnsatisfiableException($"{source.At}: nothing is allowed here");
                if (alternatives.Count > 1)
                    choices.Add(new(source, alternatives));
                foreach (var only in alternatives.Count == 1 ? alternatives[0] : [])
                    queue.Enqueue(only);
            }

            open = [.. choices.Select(choice => choice.Source)];
            if (queue.Count == 0)
                return (plain, choices);
        }
    }

    private void Take(SchemaPart part, Queue<SchemaPart> queue, List<SchemaPart> plain, List<SchemaPart> open)
    {
        if (part.Kind == SchemaPartKind.Word && !part.IsNegated)
            open.Add(part);
        else if (part.Kind != SchemaPartKind.Whole)
            plain.Add(part);
        else if (part.IsNegated)
            open.Add(part);
        else
            TakeSchema(part.Schema, part.At, queue, plain, open);
    }

    private void TakeSchema(JsonElement schema, string at, Queue<SchemaPart> queue, List<SchemaPart> plain, List<SchemaPart> open)
    {
        switch (schema.ValueKind)
        {
            case JsonValueKind.True:
                return;
            case JsonValueKind.False:
                throw new UnsatisfiableException($"{at}: nothing is allowed here");
            case JsonValueKind.Object:
                break;
            default:
                throw new GrammarException($"{at}: a schema must be an object, true or false, found {schema.ValueKind}");
        }

        SchemaWords.Check(schema, at);
        if (schema.TryGetProperty("$ref", out var reference))
        {
            var (target, place) = references.Target(reference, at);
            queue.Enqueue(SchemaPart.Holds(target, place));
            if (references.StandAlone)
                return;
        }

        if (SchemaWords.HasPlain(schema))
            plain.Add(SchemaPart.Plain(schema, at));
        foreach (var (inner, place) in SchemaWords.Items(schema, at, "allOf"))
            queue.Enqueue(SchemaPart.Holds(inner, place));
        if (schema.TryGetProperty("not", out var not))
            queue.Enqueue(SchemaPart.Fails(not, $"{at}/not"));
        foreach (var word in (string[])["anyOf", "oneOf", "if"])
        {
            if (schema.TryGetProperty(word, out _))
                open.Add(SchemaPart.Choice(schema, at, word));
        }

        foreach (var (name, _, _) in SchemaWords.Dependents(schema, at))
            open.Add(SchemaPart.Choice(schema, at, $"/{name}"));
    }

    private IEnumerable<SchemaPart[]> Alternatives(SchemaPart part, SchemaKnown known)
    {
        if (part.Kind == SchemaPartKind.Whole)
            return (_negation ??= new(references, _overlap, budget)).Of(part.Schema, part.At, known);
        var (schema, at) = (part.Schema, part.At);
        return part.Name switch
        {
            "anyOf" => SchemaWords.Items(schema, at, "anyOf").Select(item => (SchemaPart[])[SchemaPart.Holds(item.Schema, item.At)]),
            "oneOf" => OneOf([.. SchemaWords.Items(schema, at, "oneOf")]),
            "if" => Conditional(schema, at),
            _ => Dependent(SchemaWords.Dependents(schema, at).First(dependent => $"/{dependent.Name}" == part.Name)),
        };
    }

    // Exactly one: this schema, and none of the others that could hold with it.
    private IEnumerable<SchemaPart[]> OneOf((JsonElement Schema, string At)[] items)
    {
        var overlaps = _overlap.Of(items);
        budget.TakeParts(1);
        return items.Select((item, i) => (SchemaPart[])[SchemaPart.Holds(item.Schema, item.At), .. overlaps[i].Select(other => SchemaPart.Fails(items[other].Schema, items[other].At))]);
    }

    private static IEnumerable<SchemaPart[]> Conditional(JsonElement schema, string at)
    {
        var condition = schema.GetProperty("if");
        if (!schema.TryGetProperty("then", out _) && !schema.TryGetProperty("else", out _))
            return [[]];
        SchemaPart[] Branch(SchemaPart first, string word) => schema.TryGetProperty(word, out var inner) ? [first, SchemaPart.Holds(inner, $"{at}/{word}")] : [first];
        return [Branch(SchemaPart.Holds(condition, $"{at}/if"), "then"), Branch(SchemaPart.Fails(condition, $"{at}/if"), "else")];
    }

    private static IEnumerable<SchemaPart[]> Dependent((string Name, JsonElement Schema, string At) dependent) =>
    [
        [SchemaPart.Of(SchemaTypes.All & ~SchemaTypes.Object)],
        [SchemaPart.Lacks(dependent.Name)],
        [SchemaPart.Has(dependent.Name), SchemaPart.Holds(dependent.Schema, dependent.At)],
    ];
}
