using LocalLlm.Tokenizers;

namespace LocalLlm.Tokenization;

/// <summary>Where a tokenizer's failure becomes one of the engine's.</summary>
internal static class TokenizerErrors
{
    /// <summary>Runs what a tokenizer does.</summary>
    /// <exception cref="EngineException">The tokenizer failed.</exception>
    public static T Translated<T>(Func<T> run)
    {
        try
        {
            return run();
        }
        catch (TokenizerException failure)
        {
            throw EngineException.Of(failure);
        }
    }
}
