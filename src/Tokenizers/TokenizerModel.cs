namespace LocalLlm.Tokenizers;

/// <summary>Turns one pre-tokenised piece of text into token ids: the interface between the pipeline and a model type.</summary>
internal abstract class TokenizerModel
{
    /// <summary>The tokens of the model itself, without added tokens.</summary>
    public abstract TokenVocabulary Vocabulary { get; }

    /// <summary>The id that stands for text outside the vocabulary, or null.</summary>
    public abstract int? UnknownId { get; }

    /// <summary>Appends the ids of <paramref name="piece"/>. Safe to call from any number of threads.</summary>
    /// <param name="piece">Well-formed UTF-16, already normalised and split; may be empty.</param>
    /// <param name="ids">Receives the ids.</param>
    /// <param name="forbidden">
    /// Ids that must not be produced (control tokens, for untrusted text) unless they stand for single characters, or null.
    /// </param>
    public abstract void Tokenize(ReadOnlySpan<char> piece, List<int> ids, IdSet? forbidden);
}
