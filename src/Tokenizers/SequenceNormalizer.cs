namespace LocalLlm.Tokenizers;

/// <summary>Normalizers one after another.</summary>
internal sealed class SequenceNormalizer(Normalizer[] steps) : Normalizer
{
    public override bool IsByCharacter => steps.All(step => step.IsByCharacter);

    public override string Normalize(string text) => steps.Aggregate(text, (current, step) => TextGrowth.Check(step.Normalize(current), text));
}
