using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;

namespace LocalLlm.Scheduling;

/// <summary>Builds one sequence's text token by token: whole characters only, cut at the first stop string.</summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="skipSpecialTokens">Whether to leave special tokens out.</param>
/// <param name="stop">Texts that end the output.</param>
/// <param name="includeStopString">Whether the stop string is part of the output.</param>
internal sealed class TextStream(Tokenizer tokenizer, bool skipSpecialTokens, IReadOnlyList<string> stop, bool includeStopString)
{
    private readonly IncrementalDetokenizer _detokenizer = new(tokenizer, skipSpecialTokens);
    private readonly StopStringMatcher? _stop = stop.Count > 0 ? new(stop, includeStopString) : null;

    /// <summary>The stop string that ended the text, or null.</summary>
    public string? StopString => _stop?.Matched;

    /// <summary>Takes a token and returns the text that is certain by now.</summary>
    /// <param name="tokenId">The token; an unknown id has no text.</param>
    /// <param name="mayStop">Whether a stop string may begin in this text; false before min_tokens.</param>
    public string Append(int tokenId, bool mayStop)
    {
        var text = IsKnown(tokenId) ? Detokenize(tokenId) : "";
        return _stop is not null && mayStop ? _stop.Append(text) : text;
    }

    /// <summary>Ends the stream and returns the text that was held back.</summary>
    public string Flush()
    {
        var rest = TokenizerErrors.Translated(_detokenizer.Flush);
        return _stop is null ? rest : _stop.Append(rest) + _stop.Flush();
    }

    /// <summary>The text of one token alone, for log-probabilities.</summary>
    public string DecodeToken(int tokenId) => IsKnown(tokenId) ? TokenizerErrors.Translated(() => tokenizer.Decode([tokenId])) : "";

    private string Detokenize(int tokenId)
    {
        try
        {
            return _detokenizer.Append(tokenId);
        }
        catch (TokenizerException failure)
        {
            throw EngineException.Of(failure);
        }
    }

    private bool IsKnown(int tokenId) => tokenizer.IdToToken(tokenId) is not null;
}
