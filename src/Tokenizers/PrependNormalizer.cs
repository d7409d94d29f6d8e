namespace LocalLlm.Tokenizers;

/// <summary>Puts a text before every non-empty input.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    private readonly string _prefix = TextGrowth.CheckInsertion(prefix);

    public override string Normalize(string text) => text.Length == 0 ? text : _prefix + text;
}
