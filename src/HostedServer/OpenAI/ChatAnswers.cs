using System.Runtime.CompilerServices;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Answers of one chat request: whole, or as a stream of chunks.</summary>
/// <param name="engine">Where they are made.</param>
/// <param name="request">What was asked.</param>
/// <param name="id">The answer's id.</param>
/// <param name="created">When it was asked, in seconds since 1970.</param>
/// <param name="role">The role of answers.</param>
internal sealed class ChatAnswers(LlmEngine engine, ChatRequest request, string id, long created, string role)
{
    private readonly AnswerReader[] _readers = [.. Enumerable.Range(0, request.Generation.Sampling.N).Select(_ => new AnswerReader(engine, request))];
    private readonly LogprobsMapping _logprobs = new(engine, request.TokensAsIds);
    private IReadOnlyList<int> _promptTokenIds = [];
    private int _cachedTokens;

    private bool WantsLogprobs => request.Generation.Sampling.Logprobs is not null;

    private bool IsOver => Array.TrueForAll(_readers, reader => reader.IsOver);

    /// <summary>The whole answer.</summary>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async Task<ChatCompletion> CompleteAsync(CancellationToken cancellationToken)
    {
        var parts = _readers.Select(_ => new AnswerPart()).ToArray();
        var choices = _readers.Select(_ => new WholeChoice()).ToArray();
        IReadOnlyList<TokenLogprobs?>? promptLogprobs = null;
        await foreach (var output in engine.GenerateAsync(request.Generation, cancellationToken))
        {
            promptLogprobs ??= output.PromptLogprobs;
            var part = parts[output.Index];
            Take(output, part);
            choices[output.Index].Take(part);
            if (IsOver)
                break;
        }

        return new(id, created, engine.ModelName, [.. parts.Select((part, index) => Choice(index, part, choices[index]))], Usage())
        {
            PromptLogprobs = promptLogprobs is null ? null : LogprobsMapping.ToPrompt(promptLogprobs),
            PromptTokenIds = request.ReturnTokenIds ? _promptTokenIds : null,
        };
    }

    /// <summary>The answer in chunks, each as JSON.</summary>
    /// <param name="pause">How long tokens are gathered between two chunks.</param>
    /// <param name="cancellationToken">Aborts it.</param>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async IAsyncEnumerable<byte[]> StreamAsync(Func<TimeSpan> pause, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var opened = new bool[_readers.Length];
        var parts = new AnswerPart?[_readers.Length];
        await foreach (var outputs in engine.GenerateInBatchesAsync(request.Generation, pause, cancellationToken))
        {
            Array.Clear(parts);
            foreach (var output in outputs)
                Take(output, parts[output.Index] ??= new());
            for (var index = 0; index < parts.Length; index++)
            {
                if (parts[index] is not { } part)
                    continue;
                if (!opened[index])
                {
                    opened[index] = true;
                    yield return Json(Chunk(new(index, new() { Role = role, Content = "" })) with { PromptTokenIds = request.ReturnTokenIds && index == 0 ? _promptTokenIds : null });
                }

                if (part.HasContent || (part.Logprobs.Count > 0 && WantsLogprobs) || (part.TokenIds.Count > 0 && request.ReturnTokenIds))
                    yield return Json(Chunk(ToChoice(index, part)));
            }

            if (IsOver)
                break;
        }

        if (request.Stream.IncludeUsage)
            yield return Json(new(id, created, engine.ModelName, []) { Usage = Usage(), SystemFingerprint = Fingerprint.Text });
    }

    private static byte[] Json(ChatCompletionChunk chunk) => EventStream.Json(chunk, WireJson.Wire.ChatCompletionChunk);

    private void Take(GenerationOutput output, AnswerPart part)
    {
        _promptTokenIds = output.PromptTokenIds;
        _cachedTokens = Math.Max(_cachedTokens, output.Usage?.CachedTokens ?? 0);
        _readers[output.Index].Next(output, part);
    }

    private ChatCompletionChunk Chunk(ChatChunkChoice choice) => new(id, created, engine.ModelName, [choice])
    {
        Usage = request.Stream.ContinuousUsage ? Usage() : null,
        SystemFingerprint = choice.FinishReason is null ? null : Fingerprint.Text,
    };

    private ChatChunkChoice ToChoice(int index, AnswerPart part) => new(index, new()
    {
        Content = part.Content.Length > 0 ? part.Content : null,
        Reasoning = part.Reasoning.Length > 0 ? part.Reasoning : null,
        ToolCalls = part.Calls.Count > 0 ? part.Calls : null,
    })
    {
        Logprobs = WantsLogprobs && part.Logprobs.Count > 0 ? _logprobs.ToChat(part.Logprobs) : null,
        FinishReason = part.FinishReason,
        StopReason = part.StopReason,
        TokenIds = request.ReturnTokenIds ? part.TokenIds : null,
    };

    private ChatChoice Choice(int index, AnswerPart part, WholeChoice whole) => new(
        index,
        whole.ToMessage(role),
        part.FinishReason!)
    {
        Logprobs = WantsLogprobs ? _logprobs.ToChat(part.Logprobs) : null,
        StopReason = part.StopReason,
        TokenIds = request.ReturnTokenIds ? part.TokenIds : null,
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
