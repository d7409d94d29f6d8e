namespace LocalLlm.Sampling;

/// <summary>Why a row gave no token. Other rows of the batch are not affected.</summary>
internal enum SampleError
{
    None,

    /// <summary>The model's logits hold NaN or +Infinity, or nothing but -Infinity.</summary>
    NonFiniteLogits,

    /// <summary>allowed_token_ids, bad_words, min_tokens and the grammar together leave no token.</summary>
    NoTokenAllowed,
}
