namespace LocalLlm;

/// <summary>Token counts of one request.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="CompletionTokens">Tokens generated, an end-of-sequence token included.</param>
/// <param name="CachedTokens">Prompt tokens that the prefix cache gave.</param>
public readonly record struct TokenUsage(int PromptTokens, int CompletionTokens, int CachedTokens)
{
    /// <summary>Prompt and completion together.</summary>
    public int TotalTokens => PromptTokens + CompletionTokens;
}
