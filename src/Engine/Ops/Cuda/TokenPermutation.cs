namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Where the rows of a product come from and go to (vLLM's <c>moe_permute</c> and <c>moe_unpermute</c>). Kernels use the numbers.
/// </summary>
internal enum TokenPermutation
{
    /// <summary>Rows stay where they are, in each batch.</summary>
    None,

    /// <summary>From the order of the tokens to the order of the experts.</summary>
    ToExperts,

    /// <summary>From the order of the experts back to the assignments of the tokens.</summary>
    ToTokens,
}
