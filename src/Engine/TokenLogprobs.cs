namespace LocalLlm;

/// <summary>One candidate token at one position.</summary>
/// <param name="TokenId">The token.</param>
/// <param name="Logprob">Natural logarithm of its probability (or the value asked for by the engine's logprobs mode).</param>
/// <param name="Rank">1 for the most likely token of the vocabulary; of equally likely ones, the lower id comes first.</param>
/// <param name="DecodedToken">The token's text, or null without a tokenizer.</param>
public readonly record struct TokenLogprob(int TokenId, float Logprob, int Rank, string? DecodedToken = null);

/// <summary>The log-probabilities at one position: the chosen token and the most likely ones.</summary>
/// <param name="Chosen">The token at this position.</param>
/// <param name="Top">The most likely tokens, best first; the chosen one may or may not be among them.</param>
public sealed record TokenLogprobs(TokenLogprob Chosen, IReadOnlyList<TokenLogprob> Top);
