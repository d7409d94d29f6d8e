using LocalLlm.Parsing;
using LocalLlm.Grammars;
using LocalLlm.Sampling;
using LocalLlm.Tokenizers;

namespace LocalLlm;

/// <summary>The grammar compiler of a tokenizer's vocabulary.</summary>
internal static class EngineGrammars
{
    /// <summary>Creates one; null without a tokenizer.</summary>
    public static ResponseGrammars? Create(Tokenizer? tokenizer) =>
        tokenizer is null ? null : new(new(() => Trie(tokenizer, new HashSet<string>())), new(() => Trie(tokenizer, ToolCallMarks.Tokens)));

    // Added tokens (tags, roles) are no text that a grammar could be about; but for those that mark calls of tools.
    private static TokenTrie Trie(Tokenizer tokenizer, IReadOnlySet<string> added) => new(
        tokenizer.VocabularySize, id => tokenizer.IsAdded(id) && !added.Contains(tokenizer.Decode([id])) ? [] : tokenizer.IdToBytes(id).ToArray());
}
