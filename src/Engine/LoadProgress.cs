namespace LocalLlm;

/// <summary>How far <c>LlmEngine.LoadAsync</c> is.</summary>
/// <param name="Phase">What is being done, in plain words.</param>
/// <param name="BytesDone">Bytes of weights read so far; while a repository is downloaded, bytes of its files.</param>
/// <param name="BytesTotal">Bytes of weights to read, or to download; 0 before that is known.</param>
public readonly record struct LoadProgress(string Phase, long BytesDone, long BytesTotal)
{
    /// <summary>
    /// Where the memory goes, in the one or two reports that say so: the estimate before the weights are read, and on a GPU what was
    /// measured after. Null in all others.
    /// </summary>
    public MemoryPlan? Plan { get; init; }
}
