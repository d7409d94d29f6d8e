namespace LocalLlm;

/// <summary>Progress of <c>LlmEngine.LoadAsync</c>.</summary>
/// <param name="Phase">The current phase, in plain words.</param>
/// <param name="BytesDone">Bytes of weights read so far; during a download, bytes of the repository's files.</param>
/// <param name="BytesTotal">Bytes of weights to read or files to download; 0 while unknown.</param>
public readonly record struct LoadProgress(string Phase, long BytesDone, long BytesTotal)
{
    /// <summary>
    /// The memory plan, in the one or two reports that have one: the estimate before the weights are read, and on a GPU the measured plan
    /// afterwards. Null in all other reports.
    /// </summary>
    public MemoryPlan? Plan { get; init; }
}
