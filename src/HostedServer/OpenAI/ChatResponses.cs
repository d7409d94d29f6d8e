using System.Runtime.CompilerServices;
using LocalLlm.Parsing;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>The response to one chat request: complete, or as a stream of chunks.</summary>
/// <param name="engine">The engine that generates the response.</param>
/// <param name="request">The client's request.</param>
/// <param name="id">The response's id.</param>
/// <param name="created">The time of the request, in seconds since 1970.</param>
/// <param name="role">The role of messages.</param>
internal sealed class ChatResponses(LlmEngine engine, ChatRequest request, string id, long created, string role)
{
    private readonly ChatChoiceReader[] _readers = [.. Enumerable.Range(0, request.Generation.Sampling.N).Select(_ => new ChatChoiceReader(engine, request))];
    private readonly LogprobsMapping _logprobs = new(engine, request.TokensAsIds);
    private IReadOnlyList<int> _promptTokenIds = [];
    private int _cachedTokens;

    private bool WantsLogprobs => request.Generation.Sampling.Logprobs is not null;

    private bool IsComplete => Array.TrueForAll(_readers, reader => reader.IsComplete);

    /// <summary>Generates the complete response.</summary>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async Task<ChatCompletion> CompleteAsync(CancellationToken cancellationToken)
    {
        var deltas = _readers.Select(_ => new ChoiceDelta()).ToArray();
        var responses = _readers.Select(_ => new ResponseBuilder()).ToArray();
        IReadOnlyList<TokenLogprobs?>? promptLogprobs = null;
        await foreach (var output in engine.GenerateAsync(request.Generation, cancellationToken))
        {
            promptLogprobs ??= output.PromptLogprobs;
            foreach (var (part, _) in Read(output, deltas[output.Index]))
                responses[output.Index].Add(part);
            if (IsComplete)
                break;
        }

        return new(id, created, engine.ModelName, [.. deltas.Select((delta, index) => Choice(index, delta, responses[index].ToResponse()))], Usage())
        {
            PromptLogprobs = promptLogprobs is null ? null : LogprobsMapping.ToPrompt(promptLogprobs),
            PromptTokenIds = request.ReturnTokenIds ? _promptTokenIds : null,
        };
    }

    /// <summary>Generates the response in chunks, each as JSON.</summary>
    /// <param name="pause">Returns how long to collect tokens between two chunks.</param>
    /// <param name="cancellationToken">Aborts the response.</param>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async IAsyncEnumerable<byte[]> StreamAsync(Func<TimeSpan> pause, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var opened = new bool[_readers.Length];
        var deltas = new ChoiceDelta?[_readers.Length];
        await foreach (var outputs in engine.GenerateInBatchesAsync(request.Generation, pause, cancellationToken))
        {
            Array.Clear(deltas);
            foreach (var output in outputs)
                Take(output, deltas[output.Index] ??= new());
            for (var index = 0; index < deltas.Length; index++)
            {
                if (deltas[index] is not { } delta)
                    continue;
                if (!opened[index])
                {
                    opened[index] = true;
                    yield return Json(Chunk(new(index, new() { Role = role, Content = "" })) with { PromptTokenIds = request.ReturnTokenIds && index == 0 ? _promptTokenIds : null });
                }

                if (delta.HasContent || (delta.Logprobs.Count > 0 && WantsLogprobs) || (delta.TokenIds.Count > 0 && request.ReturnTokenIds))
                    yield return Json(Chunk(ToChoice(index, delta)));
            }

            if (IsComplete)
                break;
        }

        if (request.Stream.IncludeUsage)
            yield return Json(new(id, created, engine.ModelName, []) { Usage = Usage(), SystemFingerprint = Fingerprint.Text });
    }

    private static byte[] Json(ChatCompletionChunk chunk) => EventStream.Json(chunk, WireJson.Wire.ChatCompletionChunk);

    private void Take(GenerationOutput output, ChoiceDelta delta)
    {
        foreach (var (part, call) in Read(output, delta))
            delta.Add(part, call);
    }

    private IEnumerable<(ResponsePart Part, int Call)> Read(GenerationOutput output, ChoiceDelta delta)
    {
        _promptTokenIds = output.PromptTokenIds;
        _cachedTokens = Math.Max(_cachedTokens, output.Usage?.CachedTokens ?? 0);
        return _readers[output.Index].Read(output, delta);
    }

    private ChatCompletionChunk Chunk(ChatChunkChoice choice) => new(id, created, engine.ModelName, [choice])
    {
        Usage = request.Stream.ContinuousUsage ? Usage() : null,
        SystemFingerprint = choice.FinishReason is null ? null : Fingerprint.Text,
    };

    private ChatChunkChoice ToChoice(int index, ChoiceDelta delta) => new(index, new()
    {
        Content = delta.Content.Length > 0 ? delta.Content : null,
        Reasoning = delta.Reasoning.Length > 0 ? delta.Reasoning : null,
        ToolCalls = delta.Calls.Count > 0 ? delta.Calls : null,
    })
    {
        Logprobs = WantsLogprobs && delta.Logprobs.Count > 0 ? _logprobs.ToChat(delta.Logprobs) : null,
        FinishReason = delta.FinishReason,
        StopReason = delta.StopReason,
        TokenIds = request.ReturnTokenIds ? delta.TokenIds : null,
    };

    private ChatChoice Choice(int index, ChoiceDelta delta, Response response) => new(index, Message(response), delta.FinishReason!)
    {
        Logprobs = WantsLogprobs ? _logprobs.ToChat(delta.Logprobs) : null,
        StopReason = delta.StopReason,
        TokenIds = request.ReturnTokenIds ? delta.TokenIds : null,
    };

    private ChatMessageOut Message(Response response) => new(role)
    {
        // As in OpenAI's API, a message with only calls has null content.
        Content = response.Text.Length == 0 && response.ToolCalls.Count > 0 ? null : response.Text,
        Reasoning = response.Reasoning.Length == 0 ? null : response.Reasoning,
        ToolCalls = response.ToolCalls.Count == 0 ? null : [.. response.ToolCalls.Select(call => new ToolCall(ToolCall.NewId(), new(call.Name, call.Arguments)))],
    };

    private Usage Usage()
    {
        var made = _readers.Sum(reader => reader.Tokens);
        return new(_promptTokenIds.Count, _promptTokenIds.Count + made, made)
        {
            PromptTokensDetails = new(_cachedTokens),
            CompletionTokensDetails = engine.CanEndThoughts ? new(_readers.Sum(reader => reader.ThinkingTokens)) : null,
        };
    }
}
