namespace LocalLlm.Samples.Rag.Web;

/// <summary>
/// How many questions are answered at once: each holds memory of the engine, and who waits behind too many would rather know.
/// </summary>
internal sealed class AskGate
{
    public const int MaxAtOnce = 64;

    private int _inside;

    /// <summary>Whether there was a place; it is kept until <see cref="Leave"/>.</summary>
    public bool TryEnter()
    {
        if (Interlocked.Increment(ref _inside) <= MaxAtOnce)
            return true;
        Leave();
        return false;
    }

    public void Leave() => Interlocked.Decrement(ref _inside);
}
