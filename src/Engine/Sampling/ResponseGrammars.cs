using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>Compiles the structure that a request asks for into a grammar over the model's vocabulary. Thread-safe.</summary>
/// <param name="text">The vocabulary of plain text, created on first use.</param>
/// <param name="textAndMarks">The same with the tokens that mark tool calls.</param>
internal sealed class ResponseGrammars(Lazy<TokenTrie> text, Lazy<TokenTrie> textAndMarks)
{
    private readonly GrammarCompiler _compiler = new();

    /// <summary>Compiles the grammar of a response.</summary>
    /// <param name="structure">The response's structure; null: any text.</param>
    /// <param name="tools">The tools that the response may or must call; null: none.</param>
    /// <exception cref="GrammarException">A part is malformed or too large, or the structure does not set exactly one
    /// property.</exception>
    public CompiledGrammar Compile(StructuredOutputs? structure, ToolCallStructure? tools) => Compile(SourceOf(structure, tools));

    /// <summary>Compiles a source, such as the <see cref="CompiledGrammar.Source"/> of an earlier grammar.</summary>
    /// <param name="source">What a response must conform to.</param>
    /// <exception cref="GrammarException">A part is malformed or too large.</exception>
    public CompiledGrammar Compile(GrammarSource source) => _compiler.Compile(source, (source.WritesSpecialTokens ? textAndMarks : text).Value);

    /// <summary>
    /// A compiler over the same vocabulary with grammars of its own. A grammar learns as it is used, so all its users must be on one
    /// thread.
    /// </summary>
    public ResponseGrammars ForAnotherThread() => new(text, textAndMarks);

    /// <summary>The source of a response's grammar.</summary>
    /// <exception cref="GrammarException">The structure does not set exactly one property, or names an unknown tool.</exception>
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
