using LocalLlm.Tokenizers;

namespace LocalLlm.Tokenization;

/// <summary>Turns a tokenizer's failures into the engine's errors.</summary>
internal static class TokenizerErrors
{
    /// <summary>Runs an operation of a tokenizer.</summary>
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
