using LocalLlm.Primitives;

namespace LocalLlm.Grammars;

/// <summary>A reference to a rule, within another rule.</summary>
/// <param name="Name">The rule's name.</param>
internal sealed record RuleReference(string Name) : RegexNode;
