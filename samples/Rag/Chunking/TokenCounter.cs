using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Chunking;

/// <summary>Counts tokens as the embedding model does, including special tokens.</summary>
internal sealed class TokenCounter(TextEmbedder embedder)
{
    // A noncharacter that marks text which must not become a special token. A text that contains the character is counted unguarded.
    private const char Guard = '\uFDD0';

    public int MaxTokens => embedder.Engine.MaxModelLen;

    public int Count(string text)
    {
        var tokenizer = embedder.Engine.Tokenizer;
        return text.Contains(Guard) ? tokenizer.Encode(text).Length : tokenizer.Encode(tokenizer.GuardText(text, Guard), guard: Guard).Length;
    }
}
