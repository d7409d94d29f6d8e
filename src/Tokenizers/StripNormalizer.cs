using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override string Normalize(string text)
    {
        var start = 0;
        var end = text.Length;
        while (left && start < end && CodePoints.IsSpace(text[start]))
            start++;
        while (right && end > start && CodePoints.IsSpace(text[end - 1]))
            end--;
        return text[start..end];
    }
}
