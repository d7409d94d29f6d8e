using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>What a response must conform to: plain data that any executor compiles to the same grammar.</summary>
/// <param name="Source">The grammar's source.</param>
/// <param name="Field">The request field that asks for it; errors name it.</param>
internal sealed record ResponseGrammar(GrammarSource Source, string Field);
