namespace LocalLlm.Primitives;

/// <summary>The dialect of a regular expression.</summary>
public enum RegexDialect
{
    /// <summary>
    /// The subset of Oniguruma's syntax that tokenizers use: Unicode classes, <c>(?i:…)</c>, lookahead, atomic groups, lazy and possessive
    /// quantifiers, classes with <c>\p{…}</c>, nesting and <c>&amp;&amp;</c>, anchors of lines, texts and words.
    /// </summary>
    Oniguruma,

    /// <summary>
    /// The subset of ECMAScript's syntax that a finite automaton can match (JSON schema's <c>pattern</c>). <c>\d</c> and <c>\w</c> match
    /// ASCII only; <c>\s</c> and <c>.</c> match as in ECMAScript. Lookaround, back references and word boundaries are refused.
    /// </summary>
    EcmaScript,
}
