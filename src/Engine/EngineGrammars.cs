using LocalLlm.Parsing;
using LocalLlm.Grammars;
using LocalLlm.Sampling;
using LocalLlm.Tokenizers;

namespace LocalLlm;

/// <summary>Creates the grammar compiler for a tokenizer's vocabulary.</summary>
internal static class EngineGrammars
{
    /// <summary>Creates the compiler; null without a tokenizer.</summary>
    public static ResponseGrammars? Create(Tokenizer? tokenizer) =>
        tokenizer is null ? null : new(new(() => Trie(tokenizer, new HashSet<string>())), new(() => Trie(tokenizer, ToolCallMarks.Tokens)));

    // A grammar cannot match added tokens (tags, roles), except those that mark tool calls.
    private static TokenTrie Trie(Tokenizer tokenizer, IReadOnlySet<string> added) => new(
        tokenizer.VocabularySize, id => tokenizer.IsAdded(id) && !added.Contains(tokenizer.Decode([id])) ? [] : tokenizer.IdToBytes(id).ToArray());
}
