using System.Text;

namespace LocalLlm.Tokenizers;

/// <summary>Replaces every match of a pattern by a text.</summary>
internal sealed class ReplaceNormalizer(SplitPattern pattern, string content) : Normalizer
{
    private readonly string _content = TextGrowth.CheckInsertion(content);

    public override bool IsByCharacter => pattern is LiteralPattern { Literal: " " } && _content == "▁";

    public override string Normalize(string text)
    {
        if (pattern is LiteralPattern literal)
            return literal.Literal.Length == 0 ? text : text.Replace(literal.Literal, _content, StringComparison.Ordinal);
        var matches = new List<TextRange>();
        pattern.FindAll(text, matches);
        if (matches.Count == 0)
            return text;
        var result = new StringBuilder(text.Length);
        var copied = 0;
        foreach (var match in matches)
        {
            result.Append(text, copied, match.Start - copied).Append(_content);
            copied = match.Start + match.Length;
        }

        return result.Append(text, copied, text.Length - copied).ToString();
    }
}
