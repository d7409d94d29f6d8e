using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>From what a request says of its output's structure to a grammar over the vocabulary; the latest used are kept, as far as there is room. Thread-safe.</summary>
/// <param name="trie">The vocabulary, made when it is first needed.</param>
/// <param name="toolTrie">The vocabulary with the tokens that mark calls of tools.</param>
internal sealed class GrammarCompiler(Lazy<TokenTrie> trie, Lazy<TokenTrie> toolTrie)
{
    private const int MostKept = 64;
    private const long MostBytes = 256L << 20;
    private const int MinHeld = 256;

    // What models write between a thought and what follows it; the parsers drop it.
    private const int MaxLineFeedsAfterThought = 2;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Kept>> _byKey = new(StringComparer.Ordinal);
    private readonly LinkedList<Kept> _latestFirst = [];

    // Also those that found no room, as long as a request that waits holds them: no grammar is compiled twice for one request.
    private readonly Dictionary<string, WeakReference<CompiledGrammar>> _held = new(StringComparer.Ordinal);

    private int _maxHeld = MinHeld;

    private sealed record Kept(string Key, CompiledGrammar Grammar);

    /// <summary>The grammar of an answer.</summary>
    /// <param name="structure">What it must be; null: any text.</param>
    /// <param name="tools">The tools that it may, or must, call; null: none.</param>
    /// <exception cref="GrammarException">A part is malformed, too large, or says not exactly one thing.</exception>
    public CompiledGrammar Compile(StructuredOutputs? structure, ToolCallStructure? tools)
    {
        // A schema as it is written: it may be nested deeper than the serializer goes.
        var key = $"{JsonSerializer.Serialize(structure is null ? null : structure with { Json = null, SchemaName = null, SchemaDescription = null })}\n{structure?.Json?.GetRawText()}{(structure?.TypeFirst == true ? "\0" : "")}\n{KeyOf(tools)}";
        if (Find(key) is { } known)
            return known;
        var limits = GrammarLimits.Default;
        var nodes = new GrammarNodes(limits);
        var response = Answer(nodes, structure, tools);
        var afterThought = nodes.Repeat(() => nodes.Literal("\n"), 0, MaxLineFeedsAfterThought);
        nodes.Connect(afterThought.End, nodes.Nothing(), response.Start);
        var automaton = new ByteAutomaton(nodes, nodes.Finish(response), limits, afterThought.Start);
        var compiled = new CompiledGrammar(automaton, (tools is null ? trie : toolTrie).Value, limits);
        Keep(key, compiled);
        return compiled;
    }

    private CompiledGrammar? Find(string key)
    {
        lock (_lock)
        {
            if (!_byKey.TryGetValue(key, out var known))
                return _held.TryGetValue(key, out var held) && held.TryGetTarget(out var grammar) && !grammar.IsWornOut ? grammar : null;
            _latestFirst.Remove(known);
            if (known.Value.Grammar.IsWornOut)
            {
                // Those who hold it go on with it; the next ones begin afresh.
                _byKey.Remove(key);
                return null;
            }

            _latestFirst.AddFirst(known);
            return known.Value.Grammar;
        }
    }

    private void Keep(string key, CompiledGrammar grammar)
    {
        lock (_lock)
        {
            // Two requests may have compiled it at once.
            if (_byKey.Remove(key, out var other))
                _latestFirst.Remove(other);
            _byKey.Add(key, _latestFirst.AddFirst(new Kept(key, grammar)));
            _held[key] = new(grammar);
            if (_held.Count > _maxHeld)
                DropUnheld();
            while (_latestFirst.Count > 1 && (_latestFirst.Count > MostKept || _latestFirst.Sum(kept => kept.Grammar.HeldBytes) > MostBytes))
            {
                _byKey.Remove(_latestFirst.Last!.Value.Key);
                _latestFirst.RemoveLast();
            }
        }
    }

    private void DropUnheld()
    {
        foreach (var (key, held) in _held)
        {
            if (!held.TryGetTarget(out _))
                _held.Remove(key);
        }

        _maxHeld = Math.Max(MinHeld, 2 * _held.Count);
    }

    private static string? KeyOf(ToolCallStructure? tools) =>
        tools is null ? null : $"{tools.Format} {tools.Choice.IsRequired} {tools.Choice.AllowParallelCalls} {JsonSerializer.Serialize(tools.Choice.FunctionName)} {tools.Tools.GetRawText()}";

    private static Fragment Answer(GrammarNodes nodes, StructuredOutputs? structure, ToolCallStructure? tools) =>
        tools is null ? Root(nodes, structure!) : ToolGrammar.Make(nodes, tools, structure is null ? null : () => Root(nodes, structure));

    private static Fragment Root(GrammarNodes nodes, StructuredOutputs structure)
    {
        var said = (structure.Json is null ? 0 : 1) + (structure.Choice is null ? 0 : 1) + (structure.Regex is null ? 0 : 1) + (structure.Grammar is null ? 0 : 1) + (structure.JsonObject ? 1 : 0);
        if (said != 1)
            throw new GrammarException($"exactly one of json, choice, regex, grammar and json_object is needed, {said} are given");
        if (structure.Json is { } schema)
            return JsonSchemaGrammar.Parse(nodes, schema, typeFirst: structure.TypeFirst);
        if (structure.Regex is { } regex)
            return RegexGrammar.Parse(nodes, regex);
        if (structure.Grammar is { } grammar)
            return EbnfGrammar.Parse(nodes, grammar);
        if (structure.JsonObject)
            return new JsonGrammar(nodes).Object();
        if (structure.Choice!.Count == 0 || structure.Choice.Any(string.IsNullOrEmpty))
            throw new GrammarException("at least one text is needed, and none that is empty");
        return nodes.Either([.. structure.Choice.Select(nodes.Literal)]);
    }
}
