using System.Text;
using System.Text.Json;
using LocalLlm.Parsing;

namespace LocalLlm.Sampling.Grammar;

/// <summary>What an answer with tools must keep to.</summary>
/// <param name="Format">How the model writes calls.</param>
/// <param name="Tools">The tools as in OpenAI's API.</param>
/// <param name="Choice">Whether it must call.</param>
internal sealed record ToolCallStructure(ToolCallFormat Format, JsonElement Tools, ToolChoice Choice)
{
    /// <summary>Whether calls are guaranteed at all: they are required, or a tool is strict.</summary>
    public bool IsNeeded => Choice.IsRequired || (Tools.ValueKind == JsonValueKind.Array && Tools.EnumerateArray().Any(tool => ToolGrammar.FunctionOf(tool) is { } function && ToolGrammar.IsStrict(function)));
}

/// <summary>Answers that call tools, as a grammar: the format's marks as text, names of tools that there are, arguments by their schemas.</summary>
internal sealed class ToolGrammar
{
    private readonly GrammarNodes _nodes;
    private readonly ToolCallStructure _structure;
    private readonly ToolCallMarks _marks;

    private ToolGrammar(GrammarNodes nodes, ToolCallStructure structure)
    {
        _nodes = nodes;
        _structure = structure;
        _marks = ToolCallMarks.Of(structure.Format);
    }

    /// <summary>The grammar of an answer.</summary>
    /// <param name="nodes">The rules.</param>
    /// <param name="structure">The tools.</param>
    /// <param name="otherwise">Makes what an answer without calls must be; null: any text.</param>
    /// <exception cref="GrammarException">There is no such tool, or its schema cannot be kept to.</exception>
    public static Fragment Make(GrammarNodes nodes, ToolCallStructure structure, Func<Fragment>? otherwise)
    {
        var grammar = new ToolGrammar(nodes, structure);
        if (structure.Choice.IsRequired)
            return grammar.OnlyCalls();
        return otherwise is not null ? nodes.Either(otherwise(), grammar.OnlyCalls()) : grammar.TextWithCalls();
    }

    /// <summary>The function of a tool; null: it is another kind of tool.</summary>
    public static JsonElement? FunctionOf(JsonElement tool) =>
        tool.ValueKind == JsonValueKind.Object && tool.TryGetProperty("function", out var function) && function.ValueKind == JsonValueKind.Object ? function : null;

    /// <summary>Whether a function's arguments must keep to its schema.</summary>
    public static bool IsStrict(JsonElement function) => function.TryGetProperty("strict", out var strict) && strict.ValueKind == JsonValueKind.True;

    private Fragment OnlyCalls()
    {
        var call = Call();
        var list = _structure.Choice.AllowParallelCalls ? Repeated(call) : call;
        return _nodes.Sequence(_nodes.Literal(_marks.Open), list, _nodes.Literal(_marks.Close));
    }

    private Fragment Repeated(Fragment call)
    {
        var between = _nodes.Literal(_marks.Between);
        _nodes.Connect(call.End, between, call.Start);
        return _nodes.Sequence(_nodes.Nothing(), call, _nodes.Nothing());
    }

    private Fragment Call() => _nodes.Sequence(_nodes.Literal(_marks.Begin + _marks.BeforeName), NamesAndArguments(), _nodes.Literal(_marks.End));

    private Fragment NamesAndArguments()
    {
        var parts = new List<Fragment>();
        var names = new List<string>();
        foreach (var function in _structure.Tools.EnumerateArray().Select(FunctionOf).OfType<JsonElement>())
        {
            if (!function.TryGetProperty("name", out var given) || given.ValueKind != JsonValueKind.String || given.GetString() is not { Length: > 0 } name)
                throw new GrammarException("a tool has no name");
            names.Add(name);
            if (_structure.Choice.FunctionName is { } only && only != name)
                continue;
            // A name that needs escapes where names are JSON would not come out as it is.
            if (name.AsSpan().ContainsAny('"', '\\') || name.Any(char.IsControl))
                throw new GrammarException($"the tool name '{name}' has characters that a call cannot write");
            parts.Add(_nodes.Sequence(_nodes.Literal(name), _nodes.Literal(_marks.BeforeArguments), Arguments(name, function)));
        }

        if (parts.Count == 0)
            throw new GrammarException(_structure.Choice.FunctionName is { } missing ? $"there is no tool '{missing}'; the tools are {string.Join(", ", names)}" : "calls are required, and there are no tools");
        return parts.Count == 1 ? parts[0] : _nodes.Either([.. parts]);
    }

    private Fragment Arguments(string name, JsonElement function)
    {
        if (!function.TryGetProperty("parameters", out var schema) || schema.ValueKind == JsonValueKind.Null)
            return _nodes.Literal("{}");
        try
        {
            if (schema.ValueKind == JsonValueKind.Object && !schema.TryGetProperty("type", out _))
                schema = JsonSerializer.SerializeToElement(schema.EnumerateObject().DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value).Append(new("type", JsonSerializer.SerializeToElement("object"))).ToDictionary());
            return JsonSchemaGrammar.Parse(_nodes, schema, isClosed: true, typeFirst: true);
        }
        catch (GrammarException) when (!_structure.Choice.IsRequired && !IsStrict(function))
        {
            // Nobody asked for it.
            return new JsonGrammar(_nodes).Object();
        }
        catch (GrammarException refusal)
        {
            throw new GrammarException($"the parameters of '{name}': {refusal.Message}");
        }
    }

    // Any text; from where a call begins in it, the call's grammar. A text that never has the mark: the automaton of Knuth, Morris and Pratt.
    private Fragment TextWithCalls()
    {
        if (_marks.Begin.Length == 0)
        {
            // Calls are the whole answer, or there are none: another text does not begin as they do, white space aside.
            var blanks = _nodes.Star(_nodes.Either(_nodes.Range((byte)'\t', (byte)'\n'), _nodes.Range((byte)'\r', (byte)'\r'), _nodes.Range((byte)' ', (byte)' ')));
            var first = _nodes.Either(
                _nodes.Range(0, (byte)'\t' - 1),
                _nodes.Range((byte)'\n' + 1, (byte)'\r' - 1),
                _nodes.Range((byte)'\r' + 1, (byte)' ' - 1),
                _nodes.Range((byte)' ' + 1, (byte)'{' - 1),
                _nodes.Range((byte)'{' + 1, byte.MaxValue));
            return _nodes.Sequence(blanks, _nodes.Either(OnlyCalls(), _nodes.Optional(_nodes.Sequence(first, _nodes.Star(_nodes.Range(0, byte.MaxValue))))));
        }

        var end = _nodes.Nothing().Start;
        var mark = Encoding.UTF8.GetBytes(_marks.Begin);
        var matched = mark.Select(_ => _nodes.Nothing().Start).ToArray();
        var call = _nodes.Sequence(_nodes.Literal(_marks.BeforeName), NamesAndArguments(), _nodes.Literal(_marks.End));
        _nodes.Connect(call.End, _nodes.Nothing(), matched[0]);
        for (var length = 0; length < mark.Length; length++)
        {
            _nodes.Connect(matched[length], _nodes.Nothing(), end);
            var first = 0;
            for (var value = 1; value <= byte.MaxValue + 1; value++)
            {
                var next = Matched(mark, length, (byte)first);
                if (value <= byte.MaxValue && Matched(mark, length, (byte)value) == next)
                    continue;
                _nodes.Connect(matched[length], (byte)first, (byte)(value - 1), next == mark.Length ? call.Start : matched[next]);
                first = value;
            }
        }

        return new(matched[0], end);
    }

    // How much of the mark the text ends in after one more byte.
    private static int Matched(byte[] mark, int length, byte value)
    {
        for (var candidate = Math.Min(length + 1, mark.Length); candidate > 0; candidate--)
        {
            if (mark[candidate - 1] == value && mark.AsSpan(0, candidate - 1).SequenceEqual(mark.AsSpan(length - candidate + 1, candidate - 1)))
                return candidate;
        }

        return 0;
    }
}
