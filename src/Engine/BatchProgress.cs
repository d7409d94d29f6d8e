namespace LocalLlm;

/// <summary>How far <see cref="LlmEngine.GenerateBatchAsync"/> is.</summary>
/// <param name="Finished">Requests that are done, refused ones included.</param>
/// <param name="Total">All requests.</param>
/// <param name="GeneratedTokens">Tokens generated so far.</param>
public readonly record struct BatchProgress(int Finished, int Total, long GeneratedTokens);
