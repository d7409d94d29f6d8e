namespace LocalLlm.Samples.Rag.Agreement;

/// <summary>What a word does in a sentence.</summary>
internal enum TermKind
{
    /// <summary>Names or says something: a noun, a verb, an adjective.</summary>
    Content,

    Number,

    /// <summary>Punctuation that divides phrases.</summary>
    Break,

    Function,

    /// <summary>A form of "to be".</summary>
    Be,

    /// <summary>Another auxiliary or modal verb.</summary>
    Auxiliary,

    Preposition,

    /// <summary>"of", "'s" and 的: what stands on one side belongs to what stands on the other.</summary>
    Possessive,

    Conjunction,

    /// <summary>Stands for something that was named elsewhere.</summary>
    Pronoun,

    Interrogative,
}

/// <summary>A word, a number, a mark, or one character of a script without spaces.</summary>
/// <param name="Text">In lower case, in one spelling.</param>
/// <param name="Kind">What the term does in the sentence.</param>
/// <param name="IsCapital">Whether it was capitalized: in the middle of an English sentence this marks a name.</param>
/// <param name="IsWide">Whether its script has no spaces between words.</param>
internal readonly record struct Term(string Text, TermKind Kind, bool IsCapital = false, bool IsWide = false)
{
    /// <summary>Whether it has a meaning of its own.</summary>
    public bool HasSubstance => Kind is TermKind.Content or TermKind.Number;
}
