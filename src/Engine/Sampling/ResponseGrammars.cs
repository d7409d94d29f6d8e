using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>From what a request says of its response's structure to a grammar over the model's vocabulary. Thread-safe.</summary>
/// <param name="text">The vocabulary of plain text, made when it is first needed.</param>
/// <param name="textAndMarks">The vocabulary with the tokens that mark calls of tools.</param>
internal sealed class ResponseGrammars(Lazy<TokenTrie> text, Lazy<TokenTrie> textAndMarks)
{
    private readonly GrammarCompiler _compiler = new();

    /// <summary>The grammar of a response.</summary>
    /// <param name="structure">What it must be; null: any text.</param>
    /// <param name="tools">The tools that it may, or must, call; null: none.</param>
    /// <exception cref="GrammarException">A part is malformed, too large, or says not exactly one thing.</exception>
    public CompiledGrammar Compile(StructuredOutputs? structure, ToolCallStructure? tools) => Compile(SourceOf(structure, tools));

    /// <summary>The grammar of a source, which <see cref="CompiledGrammar.Source"/> of an earlier one may be.</summary>
    /// <param name="source">What a response must be.</param>
    /// <exception cref="GrammarException">A part is malformed or too large.</exception>
    public CompiledGrammar Compile(GrammarSource source) => _compiler.Compile(source, (source.WritesSpecialTokens ? textAndMarks : text).Value);

    /// <summary>
    /// Over the same vocabulary, with grammars of its own: a grammar learns as it is used, and those who use it must be on one thread.
    /// </summary>
    public ResponseGrammars ForAnotherThread() => new(text, textAndMarks);

    /// <summary>What the grammar of a response is compiled from.</summary>
    /// <exception cref="GrammarException">The structure says not exactly one thing, or there is no such tool.</exception>
    public static GrammarSource SourceOf(StructuredOutputs? structure, ToolCallStructure? tools) =>
        tools is null ? Source(structure!) : ToolGrammar.Create(tools, structure is null ? null : Source(structure));

    private static GrammarSource Source(StructuredOutputs structure)
    {
        bool[] given = [structure.Json is not null, structure.Choice is not null, structure.Regex is not null, structure.Grammar is not null, structure.JsonObject];
        var count = given.Count(isGiven => isGiven);
        return count != 1
            ? throw new GrammarException($"exactly one of json, choice, regex, grammar and json_object is needed, {count} are given")
            : structure.Json is { } schema ? new GrammarSource.JsonSchema(schema.GetRawText()) { TypeFirst = structure.TypeFirst }
            : structure.Regex is { } regex ? new GrammarSource.Regex(regex)
            : structure.Grammar is { } grammar ? new GrammarSource.Ebnf(grammar)
            : structure.Choice is { } choice ? new GrammarSource.Choice(choice)
            : new GrammarSource.JsonObject();
    }
}
