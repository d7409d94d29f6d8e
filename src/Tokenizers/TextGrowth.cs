namespace LocalLlm.Tokenizers;

/// <summary>Bounds how much a tokenizer.json may enlarge a text: chained replacements could grow it without end.</summary>
internal static class TextGrowth
{
    // Real files insert one or two characters; compatibility forms turn one character into up to 18.
    private const int MaxInsertion = 16;
    private const int MaxFactor = 32;
    private const int FreeLength = 1 << 16;

    /// <summary>Refuses a long text that a normalizer or decoder would insert, possibly many times.</summary>
    /// <exception cref="TokenizerException">Kind File.</exception>
    public static string CheckInsertion(string text) => text.Length <= MaxInsertion
        ? text
        : throw TokenizerException.File(Tokenizer.FileName, $"a normalizer or decoder inserts a text of {text.Length} characters; at most {MaxInsertion} are allowed");

    /// <summary>Refuses a text that has grown out of proportion.</summary>
    /// <exception cref="TokenizerException">Kind File.</exception>
    public static string Check(string result, string source) => result.Length <= ((long)source.Length * MaxFactor) + FreeLength
        ? result
        : throw TokenizerException.File(Tokenizer.FileName, $"the normalizers or decoders make {result.Length} characters of {source.Length}; at most {MaxFactor} times as many are allowed");
}
