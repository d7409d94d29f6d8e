using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Reads a <c>pattern</c>: <c>{"String": …}</c> or <c>{"Regex": …}</c>.</summary>
internal static class SplitPatternReader
{
    public static SplitPattern Read(JsonField field)
    {
        if (field.IsString)
            return new LiteralPattern(field.String());
        if (field["String"] is { IsNull: false } literal)
            return new LiteralPattern(literal.String());
        var regex = field["Regex"];
        if (regex.IsNull)
            throw field.Fail("has neither \"String\" nor \"Regex\"");
        return Regex(regex, regex.String());
    }

    private static SplitPattern Regex(JsonField field, string expression)
    {
        if (KnownPatterns.Find(expression) is { } scanner)
            return scanner;
        try
        {
            return new RegexPattern(expression);
        }
        catch (FormatException cause)
        {
            throw field.Fail($"\"{JsonField.Shorten(expression)}\" cannot be used: {cause.Message}", cause);
        }
    }
}
