using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>Tokens as the embedding model counts them, special ones included.</summary>
internal sealed class TokenCounter(TextEmbedder embedder)
{
    // A noncharacter that marks what is text and no token; text that holds it itself is counted without.
    private const char Guard = '\uFDD0';

    public int MaxTokens => embedder.Engine.MaxModelLen;

    public int Count(string text)
    {
        var tokenizer = embedder.Engine.Tokenizer;
        return text.Contains(Guard) ? tokenizer.Encode(text).Length : tokenizer.Encode(tokenizer.GuardText(text, Guard), guard: Guard).Length;
    }
}
