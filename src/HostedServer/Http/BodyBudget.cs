namespace LocalLlm.Server.Http;

/// <summary>
/// The bytes of bodies that are being read, of all connections together: many large bodies that never end must not fill the memory.
/// </summary>
internal sealed class BodyBudget(LocalLlmServerOptions options)
{
    // Of the largest size each; ordinary ones are a thousandth of that.
    private const int LargestAtOnce = 32;
    private long _taken;

    /// <summary>Takes room for further bytes; give them back with <see cref="Release"/>.</summary>
    /// <exception cref="ApiException">429: there is none.</exception>
    public void Take(long bytes)
    {
        if (Interlocked.Add(ref _taken, bytes) <= LargestAtOnce * options.MaxRequestBodyBytes)
            return;
        Release(bytes);
        throw new ApiException(ApiError.Overloaded("Too many large requests arrive at once. Try again later."));
    }

    /// <summary>Gives back what was taken.</summary>
    public void Release(long bytes) => Interlocked.Add(ref _taken, -bytes);
}
