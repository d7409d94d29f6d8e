namespace LocalLlm;

/// <summary>Which request runs first, and which is preempted first (vLLM's <c>scheduling_policy</c>).</summary>
public enum SchedulingPolicy
{
    /// <summary>First come, first served; the last admitted sequence is preempted first.</summary>
    Fcfs,

    /// <summary>Lower <see cref="GenerationRequest.Priority"/> first, then earlier arrival; preemption goes in reverse order.</summary>
    Priority,
}
