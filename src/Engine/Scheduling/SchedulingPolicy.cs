namespace LocalLlm.Scheduling;

/// <summary>Which sequence goes first, and which is preempted first.</summary>
internal enum SchedulingPolicy
{
    /// <summary>First come, first served; the last admitted is preempted first.</summary>
    Fcfs,

    /// <summary>Lower <see cref="Sequence.Priority"/> first, then arrival; the reverse for preemption.</summary>
    Priority,
}
