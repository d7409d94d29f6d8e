namespace LocalLlm.Samples.Rag;

/// <summary>Text of documents and models for a terminal.</summary>
internal static class PlainLine
{
    private const char Replacement = '\uFFFD';

    /// <summary>The text on one line; control characters, which could steer the terminal, are replaced.</summary>
    public static string Of(string text) =>
        string.Concat(string.Join(' ', text.Split([' ', '\t', '\r', '\n'], StringSplitOptions.RemoveEmptyEntries)).Select(c => char.IsControl(c) ? Replacement : c));
}
