namespace LocalLlm.Samples.Rag.Web;

/// <summary>
/// Limits how many questions are answered at once: each holds memory of the engine, and a refusal helps a user more than a long wait.
/// </summary>
internal sealed class AskGate
{
    public const int MaxAtOnce = 64;

    private int _inside;

    /// <summary>Whether there was a place; the caller keeps it until <see cref="Leave"/>.</summary>
    public bool TryEnter()
    {
        if (Interlocked.Increment(ref _inside) <= MaxAtOnce)
            return true;
        Leave();
        return false;
    }

    public void Leave() => Interlocked.Decrement(ref _inside);
}
