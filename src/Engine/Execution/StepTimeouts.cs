namespace LocalLlm.Execution;

/// <summary>Time limits of a step if the options do not set one.</summary>
internal static class StepTimeouts
{
    /// <summary>
    /// The limit on a device with memory of its own (a GPU): vLLM's VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS. CPUs have no limit, because a step
    /// may really take longer there.
    /// </summary>
    public static readonly TimeSpan Device = TimeSpan.FromMinutes(5);
}
