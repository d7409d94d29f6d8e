namespace LocalLlm.Tokenization;

/// <summary>Puts a text before every non-empty input.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    public override string Normalize(string text) => text.Length == 0 ? text : prefix + text;
}
