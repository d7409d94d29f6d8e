using System.Globalization;

namespace LocalLlm.Server.OpenAI;

/// <summary>Converts the engine's log-probabilities to the formats of OpenAI and vLLM.</summary>
internal sealed class LogprobsMapping(LlmEngine engine, bool tokensAsIds)
{
    // vLLM's server writes this for -Infinity, which JSON does not have.
    private const float MinLogprob = -9999;

    /// <summary>Converts log-probabilities of a chat.</summary>
    public ChatLogprobs ToChat(IReadOnlyList<TokenLogprobs> positions) => new([.. positions.Select(ToChat)]);

    /// <summary>Converts log-probabilities of a completion.</summary>
    /// <param name="tokens">The tokens, in order.</param>
    /// <param name="end">The end of the text. It is also the offset of tokens whose text was cut off, such as a stop string's.</param>
    public TextLogprobs ToText(IEnumerable<ScoredToken> tokens, int end)
    {
        var (texts, values, tops, offsets) = (new List<string>(), new List<double?>(), new List<Dictionary<string, double>?>(), new List<int>());
        foreach (var (position, id, offset) in tokens)
        {
            texts.Add(position is null ? Text(id, engine.Tokenizer?.Decode([id])) : Text(position.Chosen));
            values.Add(position is null ? null : Value(position.Chosen));
            tops.Add(position is null ? null : Top(position));
            offsets.Add(Math.Min(offset, end));
        }

        return new(texts, values, tops, offsets);
    }

    /// <summary>Converts log-probabilities of a prompt to vLLM's format: by token id, null for the first token.</summary>
    public static IReadOnlyList<Dictionary<string, PromptLogprob>?> ToPrompt(IReadOnlyList<TokenLogprobs?> positions) =>
    [
        .. positions.Select(position => position is null
            ? null
            : position.Top.Prepend(position.Chosen).DistinctBy(candidate => candidate.TokenId)
                .ToDictionary(candidate => candidate.TokenId.ToString(CultureInfo.InvariantCulture), candidate => new PromptLogprob(Value(candidate), candidate.Rank, candidate.DecodedToken))),
    ];

    private static double Value(TokenLogprob candidate) => float.IsFinite(candidate.Logprob) ? Math.Max(candidate.Logprob, MinLogprob) : MinLogprob;

    private ChatTokenLogprob ToChat(TokenLogprobs position) => One(position.Chosen) with { TopLogprobs = [.. position.Top.Select(One)] };

    private ChatTokenLogprob One(TokenLogprob candidate) => new(Text(candidate), Value(candidate), Bytes(candidate.TokenId));

    private List<int>? Bytes(int id)
    {
        if (engine.Tokenizer is not { } tokenizer)
            return null;
        var bytes = new List<int>();
        foreach (var value in tokenizer.IdToBytes(id))
            bytes.Add(value);
        return bytes;
    }

    private Dictionary<string, double> Top(TokenLogprobs position)
    {
        var top = new Dictionary<string, double>(StringComparer.Ordinal);
        // Two tokens may have the same text; the likelier token keeps it.
        foreach (var candidate in position.Top.Append(position.Chosen))
            top.TryAdd(Text(candidate), Value(candidate));
        return top;
    }

    private string Text(TokenLogprob candidate) => Text(candidate.TokenId, candidate.DecodedToken);

    private string Text(int id, string? text) => tokensAsIds || text is null ? string.Create(CultureInfo.InvariantCulture, $"token_id:{id}") : text;
}

/// <summary>A token of a completion with its log-probabilities.</summary>
/// <param name="Position">Null for the first token of a prompt, which nothing predicts.</param>
/// <param name="Id">The token.</param>
/// <param name="Offset">The offset of the token's text, in code points; see <see cref="TextOffsets"/>.</param>
internal readonly record struct ScoredToken(TokenLogprobs? Position, int Id, int Offset);
