namespace LocalLlm.Tokenizers;

/// <summary>Splits text into the pieces that the model tokenises one by one. Stateless.</summary>
internal abstract class PreTokenizer
{
    public abstract PreTokenizedText Split(PreTokenizedText input);
}
