using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Removes combining marks; meant to follow NFD or NFKD.</summary>
internal sealed class StripAccentsNormalizer : Normalizer
{
    public override string Normalize(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (!CodePoints.Is(rune.Value, CodePoints.Mark))
                result.Append(rune.ToString());
        }

        return result.ToString();
    }
}
