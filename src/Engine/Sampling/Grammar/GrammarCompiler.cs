using System.Collections.Concurrent;
using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>From what a request says of its output's structure to a grammar over the vocabulary; the latest are kept. Thread-safe.</summary>
/// <param name="trie">The vocabulary, made when it is first needed.</param>
internal sealed class GrammarCompiler(Lazy<TokenTrie> trie)
{
    private const int MostKept = 64;

    private readonly ConcurrentDictionary<string, CompiledGrammar> _kept = new(StringComparer.Ordinal);

    /// <summary>The grammar of a structure.</summary>
    /// <exception cref="GrammarException">It is malformed, too large, or says not exactly one thing.</exception>
    public CompiledGrammar Compile(StructuredOutputs structure)
    {
        var key = JsonSerializer.Serialize(structure);
        if (_kept.TryGetValue(key, out var known))
            return known;
        var limits = GrammarLimits.Default;
        var nodes = new GrammarNodes(limits);
        var compiled = new CompiledGrammar(new(nodes, nodes.Finish(Root(nodes, structure)), limits), trie.Value);
        if (_kept.Count >= MostKept)
            _kept.Clear();
        return _kept.GetOrAdd(key, compiled);
    }

    private static Fragment Root(GrammarNodes nodes, StructuredOutputs structure)
    {
        var said = (structure.Choice is null ? 0 : 1) + (structure.Regex is null ? 0 : 1) + (structure.JsonObject ? 1 : 0);
        if (said != 1)
            throw new GrammarException($"exactly one of choice, regex and json_object is needed, {said} are given");
        if (structure.Regex is { } regex)
            return RegexGrammar.Parse(nodes, regex);
        if (structure.JsonObject)
            return new JsonGrammar(nodes).Object();
        if (structure.Choice!.Count == 0 || structure.Choice.Any(string.IsNullOrEmpty))
            throw new GrammarException("choice needs at least one text, and none that is empty");
        return nodes.Either([.. structure.Choice.Select(nodes.Literal)]);
    }
}
