namespace LocalLlm.Tokenizers;

/// <summary>Pre-tokenizers one after another, each splitting the pieces of the one before.</summary>
internal sealed class SequencePreTokenizer(PreTokenizer[] steps) : PreTokenizer
{
    public override PreTokenizedText Split(PreTokenizedText input) => steps.Aggregate(input, (current, step) => step.Split(current));
}
