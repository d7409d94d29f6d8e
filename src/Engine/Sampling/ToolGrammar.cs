using System.Text.Json;
using LocalLlm.Grammars;
using LocalLlm.Parsing;

namespace LocalLlm.Sampling;

/// <summary>What a response with tools must conform to.</summary>
/// <param name="Format">How the model writes calls.</param>
/// <param name="Tools">The tools in the form of OpenAI's API.</param>
/// <param name="Choice">Whether the response must call tools.</param>
internal sealed record ToolCallStructure(ToolCallFormat Format, JsonElement Tools, ToolChoice Choice)
{
    /// <summary>Whether calls must be guaranteed: they are required, or a tool is strict.</summary>
    public bool IsNeeded => Choice.IsRequired || (Tools.ValueKind == JsonValueKind.Array && Tools.EnumerateArray().Any(tool => ToolGrammar.FunctionOf(tool) is { } function && ToolGrammar.IsStrict(function)));
}

/// <summary>
/// Builds the grammar source for responses that call tools: the format's marks as text, the names of the given tools, and arguments by
/// their schemas.
/// </summary>
internal sealed class ToolGrammar
{
    private static readonly GrammarSource.Literal NoArguments = new("{}");

    private readonly ToolCallStructure _structure;
    private readonly ToolCallMarks _marks;

    private ToolGrammar(ToolCallStructure structure)
    {
        _structure = structure;
        _marks = ToolCallMarks.Of(structure.Format);
    }

    /// <summary>The source of a response's grammar.</summary>
    /// <param name="structure">The tools.</param>
    /// <param name="otherwise">What a response without calls must conform to; null: any text.</param>
    /// <exception cref="GrammarException">The tool does not exist, or a tool's name cannot be written.</exception>
    public static GrammarSource Create(ToolCallStructure structure, GrammarSource? otherwise)
    {
        var grammar = new ToolGrammar(structure);
        var source = structure.Choice.IsRequired ? grammar.OnlyCalls()
            : otherwise is not null ? new GrammarSource.AnyOf([otherwise, grammar.OnlyCalls()])
            : grammar.TextWithCalls();
        return source with { WritesSpecialTokens = true };
    }

    /// <summary>The function of a tool; null: the tool is of another kind.</summary>
    public static JsonElement? FunctionOf(JsonElement tool) =>
        tool.ValueKind == JsonValueKind.Object && tool.TryGetProperty("function", out var function) && function.ValueKind == JsonValueKind.Object ? function : null;

    /// <summary>Whether a function's arguments must conform to its schema.</summary>
    public static bool IsStrict(JsonElement function) => function.TryGetProperty("strict", out var strict) && strict.ValueKind == JsonValueKind.True;

    private static GrammarSource.Sequence Sequence(params GrammarSource[] parts) => new(parts);

    private static GrammarSource.Literal Literal(string text) => new(text);

    private GrammarSource.Sequence OnlyCalls()
    {
        var call = Sequence(Literal(_marks.Begin + _marks.BeforeName), NamesAndArguments(), Literal(_marks.End));
        GrammarSource calls = _structure.Choice.AllowParallelCalls ? new GrammarSource.SeparatedList(call, _marks.Between) : call;
        return Sequence(Literal(_marks.Open), calls, Literal(_marks.Close));
    }

    // If calls have no mark, either the whole response is calls or it has none: other text does not begin as calls do.
    private GrammarSource TextWithCalls() => _marks.Begin.Length == 0
        ? new GrammarSource.TextOr(OnlyCalls(), _marks.BeforeName[0])
        : new GrammarSource.TextWithTags(_marks.Begin, Sequence(Literal(_marks.BeforeName), NamesAndArguments(), Literal(_marks.End)));

    private GrammarSource.AnyOf NamesAndArguments()
    {
        var parts = new List<GrammarSource>();
        var names = new List<string>();
        foreach (var function in _structure.Tools.EnumerateArray().Select(FunctionOf).OfType<JsonElement>())
        {
            if (!function.TryGetProperty("name", out var given) || given.ValueKind != JsonValueKind.String
                || given.GetString() is not { Length: > 0 } name)
                throw new GrammarException("a tool has no name");
            names.Add(name);
            if (_structure.Choice.FunctionName is { } only && only != name)
                continue;
            // In formats that write names as JSON, a name that needs escapes would not be written unchanged.
            if (name.AsSpan().ContainsAny('"', '\\') || name.Any(char.IsControl))
                throw new GrammarException($"the tool name '{name}' has characters that a call cannot write");
            parts.Add(Sequence(Literal(name), Literal(_marks.BeforeArguments), Arguments(name, function)));
        }

        if (parts.Count == 0)
        {
            throw new GrammarException(_structure.Choice.FunctionName is { } missing
                ? $"there is no tool '{missing}'; the tools are {string.Join(", ", names)}"
                : "calls are required, and there are no tools");
        }

        return new(parts);
    }

    private GrammarSource Arguments(string name, JsonElement function)
    {
        if (!function.TryGetProperty("parameters", out var schema) || schema.ValueKind == JsonValueKind.Null)
            return NoArguments;
        if (schema.ValueKind == JsonValueKind.Object && !schema.TryGetProperty("type", out _))
            schema = JsonSerializer.SerializeToElement(
                schema.EnumerateObject().DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value)
                    .Append(new("type", JsonSerializer.SerializeToElement("object"))).ToDictionary());
        var arguments = new GrammarSource.JsonSchema(schema.GetRawText()) { IsClosed = true, TypeFirst = true };
        // If the request does not require the schema to be enforced, a schema that cannot be enforced is not an error.
        return _structure.Choice.IsRequired || IsStrict(function)
            ? new GrammarSource.Named($"the parameters of '{name}'", arguments)
            : new GrammarSource.Fallback(arguments, new GrammarSource.JsonObject());
    }
}
