namespace LocalLlm.Parallel;

/// <summary>A rank cannot go on because another one has failed, or the group was aborted.</summary>
/// <param name="message">Which rank, and what happened.</param>
/// <param name="reason">What has failed.</param>
internal sealed class RankFailedException(string message, Exception? reason) : Exception(message, reason);
