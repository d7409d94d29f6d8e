namespace LocalLlm.Scheduling;

/// <summary>What the engine loop does when a sequence moves on. Called on the loop's thread, inside the scheduler's calls.</summary>
internal interface ISequenceObserver
{
    /// <summary>
    /// A token was appended. May call <see cref="Scheduler.Abort"/> or <see cref="Scheduler.Finish"/> for any sequence.
    /// An exception ends this sequence alone, with <see cref="FinishReason.Error"/>.
    /// </summary>
    /// <returns>Why the sequence ends with this token, or null to go on (limits of length are the scheduler's).</returns>
    FinishReason? OnToken(Sequence sequence, int tokenId);

    /// <summary>The sequence ended, for whatever reason; called exactly once for each that was added. Must not throw.</summary>
    void OnFinished(Sequence sequence);
}
