namespace LocalLlm.Server.Http;

/// <summary>
/// Limits the bytes of the bodies that are being read, over all connections: many large bodies that never end must not fill the memory.
/// </summary>
internal sealed class BodyBudget(LocalLlmServerOptions options)
{
    // Number of bodies of the maximum size; an ordinary body has a thousandth of that size.
    private const int LargestAtOnce = 32;
    private long _taken;

    /// <summary>Reserves further bytes; free them with <see cref="Release"/>.</summary>
    /// <exception cref="ApiException">429: the budget is used up.</exception>
    public void Take(long bytes)
    {
        if (Interlocked.Add(ref _taken, bytes) <= LargestAtOnce * options.MaxRequestBodyBytes)
            return;
        Release(bytes);
        throw new ApiException(ApiError.Overloaded("Too many large requests arrive at once. Try again later."));
    }

    /// <summary>Frees reserved bytes.</summary>
    public void Release(long bytes) => Interlocked.Add(ref _taken, -bytes);
}
