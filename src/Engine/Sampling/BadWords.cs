using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>
/// Turns words into banned token sequences as vLLM's <c>update_from_tokenizer</c> does. Each word is banned without its leading space. It
/// is also banned with one space before it if that changes the first token and keeps the number of tokens (a word-start token).
/// </summary>
internal static class BadWords
{
    private const string Field = "bad_words";

    public static int[][] Tokenize(IReadOnlyList<string>? words, SamplingContext context, RequestErrors errors)
    {
        if (words is null || words.Count == 0)
            return [];
        if (words.Count > SamplingRules.MaxBadWords)
        {
            errors.Add(Field, $"{words.Count} words", $"at most {SamplingRules.MaxBadWords}");
            return [];
        }

        if (context.Tokenize is null)
        {
            errors.Add(Field, "words, but the engine runs without a tokenizer", "no bad_words: use logit_bias with token ids");
            return [];
        }

        var sequences = new List<int[]>();
        var tokens = 0;
        foreach (var word in words.Distinct(StringComparer.Ordinal))
        {
            if (string.IsNullOrEmpty(word))
                errors.Add(Field, "an empty string", "words of at least one character");
            else if (word.Length > SamplingRules.MaxBadWordLength)
                errors.Add(Field, $"a word of {word.Length} characters", $"at most {SamplingRules.MaxBadWordLength}");
            else
                AddWord(sequences, word.TrimStart(), context, errors);
        }

        foreach (var sequence in sequences)
            tokens += sequence.Length;
        if (tokens > SamplingRules.MaxBadWordTokens)
            errors.Add(Field, $"words of {tokens} tokens together", $"at most {SamplingRules.MaxBadWordTokens}");
        return [.. sequences];
    }

    private static void AddWord(List<int[]> sequences, string word, SamplingContext context, RequestErrors errors)
    {
        var plain = word.Length == 0 ? [] : context.Tokenize!(word, false);
        if (plain.Length == 0)
        {
            errors.Add(Field, "a word without any token", "words that tokenise to at least one token");
            return;
        }

        var spaced = context.Tokenize!(" " + word, false);
        foreach (var id in plain.Concat(spaced))
        {
            if ((uint)id < (uint)context.VocabularySize)
                continue;
            errors.Add(Field, $"a word with the token {id}", $"words with tokens below {context.VocabularySize}, the model's vocabulary");
            return;
        }

        sequences.Add(plain);
        if (spaced.Length == plain.Length && spaced[0] != plain[0])
            sequences.Add(spaced);
    }
}
