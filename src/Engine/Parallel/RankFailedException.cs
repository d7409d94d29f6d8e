namespace LocalLlm.Parallel;

/// <summary>A rank cannot go on because another one has failed, or the group was aborted.</summary>
/// <param name="message">Which rank, and what happened.</param>
/// <param name="reason">What has failed.</param>
internal sealed class RankFailedException(string message, Exception? reason) : Exception(message, reason)
{
    /// <summary>Wraps the reason of an abort, unless it already is such an exception.</summary>
    public static RankFailedException From(Exception reason) =>
        reason as RankFailedException ?? new($"The ranks do not go on: {reason.Message}", reason);
}
