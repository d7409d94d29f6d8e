namespace LocalLlm;

/// <summary>Progress of <see cref="LlmEngine.GenerateBatchAsync"/>.</summary>
/// <param name="Finished">Finished requests, refused ones included.</param>
/// <param name="Total">All requests.</param>
/// <param name="GeneratedTokens">Tokens generated so far.</param>
public readonly record struct BatchProgress(int Finished, int Total, long GeneratedTokens);
