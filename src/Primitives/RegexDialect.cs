namespace LocalLlm.Primitives;

/// <summary>Whose regular expressions are read.</summary>
public enum RegexDialect
{
    /// <summary>
    /// The subset of Oniguruma's that tokenizers use: Unicode classes, <c>(?i:…)</c>, lookahead, atomic groups, lazy and possessive
    /// quantifiers, classes with <c>\p{…}</c>, nesting and
    /// <c>&amp;&amp;</c>, anchors of lines, texts and words.
    /// </summary>
    Oniguruma,

    /// <summary>
    /// ECMAScript's as far as a finite automaton can keep to them (JSON schema's <c>pattern</c>): <c>\d</c> and <c>\w</c> are ASCII's,
    /// <c>\s</c> and <c>.</c> ECMAScript's. Look-around, back references and word borders are refused.
    /// </summary>
    EcmaScript,
}
