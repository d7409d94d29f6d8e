using LocalLlm.Sampling.Grammar;

namespace LocalLlm.Sampling;

/// <summary>What a grammar is compiled from: plain data that any executor compiles to the same grammar.</summary>
/// <param name="Structure">What the response must be; null: any text.</param>
/// <param name="Tools">The tools that it may, or must, call; null: none.</param>
/// <param name="Field">The request's field that asks for it, which errors name.</param>
internal sealed record GrammarSource(StructuredOutputs? Structure, ToolCallStructure? Tools, string Field);
