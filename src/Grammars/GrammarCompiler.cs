namespace LocalLlm.Grammars;

/// <summary>
/// Compiles grammars over a vocabulary. It keeps the most recently used ones, as far as there is room, so the same source over
/// the same vocabulary is compiled once. Thread-safe.
/// </summary>
/// <param name="limits">How large a grammar may become; null: the defaults.</param>
public sealed class GrammarCompiler(GrammarLimits? limits = null)
{
    private const int MaxKept = 64;
    private const long MaxBytes = 256L << 20;
    private const int MinHeld = 256;

    // Models write line feeds between a thought and the text after it.
    private const int MaxLineFeedsAfterThought = 2;

    private readonly GrammarLimits _limits = limits ?? GrammarLimits.Default;
    private readonly Lock _lock = new();
    private readonly Dictionary<Key, LinkedListNode<Kept>> _byKey = [];
    private readonly LinkedList<Kept> _latestFirst = [];

    // Includes grammars for which there was no room, while a caller holds them: a waiting request never compiles its grammar twice.
    private readonly Dictionary<Key, WeakReference<CompiledGrammar>> _held = [];

    private int _maxHeld = MinHeld;

    private sealed record Kept(Key Key, CompiledGrammar Grammar);

    // A vocabulary is compared by reference.
    private readonly record struct Key(TokenTrie Vocabulary, string Source);

    /// <summary>Compiles a source of any kind.</summary>
    /// <param name="source">Describes the texts.</param>
    /// <param name="vocabulary">The tokens that texts consist of.</param>
    /// <exception cref="GrammarException">A part is malformed, too large, or cannot be enforced token by token.</exception>
    public CompiledGrammar Compile(GrammarSource source, TokenTrie vocabulary)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(vocabulary);
        var key = new Key(vocabulary, source.ToJson());
        if (Find(key) is { } known)
            return known;
        var nodes = new GrammarNodes(_limits);
        var text = new GrammarBuilder(nodes).Build(source);
        var afterThought = nodes.Repeat(() => nodes.Literal("\n"), 0, MaxLineFeedsAfterThought);
        nodes.Connect(afterThought.End, nodes.Nothing(), text.Start);
        var automaton = new ByteAutomaton(nodes, nodes.Finish(text), _limits, afterThought.Start);
        var compiled = new CompiledGrammar(automaton, vocabulary, _limits) { Source = source };
        Keep(key, compiled);
        return compiled;
    }

    /// <summary>Compiles a JSON schema.</summary>
    /// <param name="schema">The schema's JSON text.</param>
    /// <param name="vocabulary">The tokens that texts consist of.</param>
    /// <exception cref="GrammarException">
    /// The schema is malformed or has a part that cannot be enforced; the message begins with the JSON pointer.
    /// </exception>
    public CompiledGrammar CompileJsonSchema(string schema, TokenTrie vocabulary) =>
        Compile(new GrammarSource.JsonSchema(schema), vocabulary);

    /// <summary>Compiles a regular expression, which must match the whole text.</summary>
    /// <param name="pattern">The expression.</param>
    /// <param name="vocabulary">The tokens that texts consist of.</param>
    /// <exception cref="GrammarException">The expression is malformed or uses an unsupported feature.</exception>
    public CompiledGrammar CompileRegex(string pattern, TokenTrie vocabulary) => Compile(new GrammarSource.Regex(pattern), vocabulary);

    /// <summary>Compiles rules in EBNF; the rule <c>root</c> is the whole text.</summary>
    /// <param name="rules">The rules.</param>
    /// <param name="vocabulary">The tokens that texts consist of.</param>
    /// <exception cref="GrammarException">The rules are malformed, or one of them begins with itself.</exception>
    public CompiledGrammar CompileEbnf(string rules, TokenTrie vocabulary) => Compile(new GrammarSource.Ebnf(rules), vocabulary);

    private CompiledGrammar? Find(Key key)
    {
        lock (_lock)
        {
            if (!_byKey.TryGetValue(key, out var known))
                return _held.TryGetValue(key, out var held) && held.TryGetTarget(out var grammar) && !grammar.IsWornOut ? grammar : null;
            _latestFirst.Remove(known);
            if (known.Value.Grammar.IsWornOut)
            {
                // Requests that hold it continue with it; new requests compile a new one.
                _byKey.Remove(key);
                return null;
            }

            _latestFirst.AddFirst(known);
            return known.Value.Grammar;
        }
    }

    private void Keep(Key key, CompiledGrammar grammar)
    {
        lock (_lock)
        {
            // Two requests may have compiled it at the same time.
            if (_byKey.Remove(key, out var other))
                _latestFirst.Remove(other);
            _byKey.Add(key, _latestFirst.AddFirst(new Kept(key, grammar)));
            _held[key] = new(grammar);
            if (_held.Count > _maxHeld)
                DropUnheld();
            while (_latestFirst.Count > 1 && (_latestFirst.Count > MaxKept || _latestFirst.Sum(kept => kept.Grammar.HeldBytes) > MaxBytes))
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
}
