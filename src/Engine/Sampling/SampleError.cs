namespace LocalLlm.Sampling;

/// <summary>Why a row yielded no token. Other rows of the batch are not affected.</summary>
internal enum SampleError
{
    None,

    /// <summary>The model's logits contain NaN or +Infinity, or only -Infinity.</summary>
    NonFiniteLogits,

    /// <summary>allowed_token_ids, bad_words, min_tokens and the grammar together leave no token.</summary>
    NoTokenAllowed,
}
