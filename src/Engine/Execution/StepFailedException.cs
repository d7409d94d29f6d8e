namespace LocalLlm.Execution;

/// <summary>A failure on the executor's side, as the engine loop logs it.</summary>
/// <param name="details">What the executor said of it.</param>
internal sealed class StepFailedException(string details) : Exception(details);
