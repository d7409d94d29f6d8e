using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>What a response must keep to: plain data that any executor compiles to the same grammar.</summary>
/// <param name="Source">What the grammar is compiled from.</param>
/// <param name="Field">The request's field that asks for it, which errors name.</param>
internal sealed record ResponseGrammar(GrammarSource Source, string Field);
