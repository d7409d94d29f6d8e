namespace LocalLlm.Execution;

/// <summary>How long a step may take where the options do not say.</summary>
internal static class StepTimeouts
{
    /// <summary>
    /// On a device with memory of its own, a GPU: vLLM's VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS. Other devices, CPUs, have no limit: a step may
    /// really take longer there.
    /// </summary>
    public static readonly TimeSpan Device = TimeSpan.FromMinutes(5);
}
