using System.Text;

namespace LocalLlm;

/// <summary>Assembles a request's result from its pieces.</summary>
internal sealed class ResultCollector(string requestId, IReadOnlyList<int> promptTokenIds, int sequences)
{
    private readonly Part[] _parts = [.. Enumerable.Range(0, sequences).Select(_ => new Part())];
    private IReadOnlyList<TokenLogprobs?>? _promptLogprobs;

    /// <summary>Adds the next piece.</summary>
    public void Add(GenerationOutput output)
    {
        var part = _parts[output.Index];
        part.Text.Append(output.Text);
        part.TokenIds.AddRange(output.TokenIds);
        if (output.Logprobs is { } logprobs)
            (part.Logprobs ??= []).AddRange(logprobs);
        _promptLogprobs ??= output.PromptLogprobs;
        part.Last = output;
    }

    /// <summary>The complete result, once every sequence has ended.</summary>
    /// <exception cref="EngineException">GenerationFailed: a sequence failed. ShuttingDown: the engine aborted a sequence.</exception>
    public GenerationResult Result()
    {
        foreach (var part in _parts)
        {
            if (part.Last?.FinishReason == FinishReason.Error)
                throw new EngineException(EngineErrorKind.GenerationFailed, part.Last.Error!, innerException: part.Last.ErrorCause);
            if (part.Last?.FinishReason is null or FinishReason.Abort)
                throw new EngineException(EngineErrorKind.ShuttingDown, "The engine shut down before the request was finished.");
        }

        return new()
        {
            RequestId = requestId,
            PromptTokenIds = promptTokenIds,
            PromptLogprobs = _promptLogprobs,
            Outputs = [.. _parts.Select((part, index) => new CompletionOutput
            {
                Index = index,
                Text = part.Text.ToString(),
                TokenIds = part.TokenIds,
                Logprobs = part.Logprobs,
                FinishReason = part.Last!.FinishReason!.Value,
                StopString = part.Last.StopString,
                StopTokenId = part.Last.StopTokenId,
            })],
            Usage = new(promptTokenIds.Count, _parts.Sum(part => part.TokenIds.Count), _parts[0].Last!.Usage!.Value.CachedTokens),
        };
    }

    private sealed class Part
    {
        public StringBuilder Text { get; } = new();

        public List<int> TokenIds { get; } = [];

        public List<TokenLogprobs>? Logprobs { get; set; }

        public GenerationOutput? Last { get; set; }
    }
}
