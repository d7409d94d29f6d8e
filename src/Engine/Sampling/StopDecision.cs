namespace LocalLlm.Sampling;

/// <summary>The decision that a sequence ends, and why.</summary>
/// <param name="Reason">Stop or length.</param>
/// <param name="StopTokenId">The token in stop_token_ids that ended it; null for an end-of-sequence token and for length.</param>
internal readonly record struct StopDecision(FinishReason Reason, int? StopTokenId);
