namespace LocalLlm.Execution;

/// <summary>A failure on the executor's side, for the engine loop's log.</summary>
/// <param name="details">The executor's description of the failure.</param>
internal sealed class StepFailedException(string details) : Exception(details);
