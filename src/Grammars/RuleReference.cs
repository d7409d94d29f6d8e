using LocalLlm.Primitives;

namespace LocalLlm.Grammars;

/// <summary>A rule, named within another one.</summary>
/// <param name="Name">The rule's name.</param>
internal sealed record RuleReference(string Name) : RegexNode;
