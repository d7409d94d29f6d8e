namespace LocalLlm.Scheduling;

/// <summary>State of a <see cref="Sequence"/> in the <see cref="Scheduler"/>.</summary>
internal enum SequenceState
{
    /// <summary>Queued; never scheduled, holds no block.</summary>
    Waiting,

    /// <summary>Admitted: holds blocks and takes part in steps.</summary>
    Running,

    /// <summary>Back in the queue because blocks ran out: holds no block, keeps its output, will be recomputed.</summary>
    Preempted,

    /// <summary>Ended; see <see cref="Sequence.FinishReason"/>.</summary>
    Finished,
}
