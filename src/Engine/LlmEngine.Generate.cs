using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Scheduling;
using LocalLlm.Templating;
using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;

namespace LocalLlm;

/// <content>Requests.</content>
public sealed partial class LlmEngine
{
    private const int MaxCacheSaltLength = 128;

    // The longest entries of real vocabularies have some 500 characters.
    private const int MaxCharactersPerToken = 1024;
    private long _nextRequestId;

    /// <summary>
    /// Generates for one request and streams the pieces. Leaving the enumeration, or cancelling, aborts the request and frees its blocks.
    /// </summary>
    /// <param name="request">The prompt and how to sample.</param>
    /// <param name="cancellationToken">Aborts the request.</param>
    /// <returns>Pieces of all of the request's sequences, in the order of generation.</returns>
    /// <exception cref="EngineException">The request is refused (thrown at once, before the enumeration) or fails (thrown by the
    /// enumeration).</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public IAsyncEnumerable<GenerationOutput> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Stream(Validate(request), cancellationToken);
    }

    /// <summary>
    /// Generates for one request and streams lists of pieces. Each list holds everything generated since the previous list.
    /// </summary>
    /// <param name="request">The prompt and how to sample.</param>
    /// <param name="pause">Called after every list: how long to gather pieces for the next one. The request's end cuts a pause
    /// short.</param>
    /// <param name="cancellationToken">Aborts the request.</param>
    /// <exception cref="EngineException">The request is refused (thrown at once, before the enumeration) or fails (thrown by the
    /// enumeration).</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public IAsyncEnumerable<IReadOnlyList<GenerationOutput>> GenerateInBatchesAsync(GenerationRequest request, Func<TimeSpan> pause, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(pause);
        return StreamInBatches(Validate(request), pause, cancellationToken);
    }

    /// <summary>Continues a text.</summary>
    /// <inheritdoc cref="GenerateAsync(GenerationRequest, CancellationToken)"/>
    public IAsyncEnumerable<GenerationOutput> GenerateAsync(string prompt, SamplingParams? sampling = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return GenerateAsync(GenerationRequest.FromText(prompt, sampling), cancellationToken);
    }

    /// <summary>Runs one request to its end.</summary>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task<GenerationResult> CompleteAsync(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var valid = Validate(request);
        var collector = new ResultCollector(valid.Id, valid.PromptTokenIds, valid.Sampling.N);
        await foreach (var output in Stream(valid, cancellationToken).ConfigureAwait(false))
            collector.Add(output);
        return collector.Result();
    }

    /// <summary>
    /// Runs many requests together (vLLM's <c>LLM.generate</c>). A refused or failed request yields a result with
    /// <see cref="GenerationResult.Error"/> and does not affect the others.
    /// </summary>
    /// <param name="requests">The requests.</param>
    /// <param name="progress">Receives progress after every finished request.</param>
    /// <param name="cancellationToken">Aborts all of them.</param>
    /// <returns>One result for each request, in the order of the requests.</returns>
    public async Task<IReadOnlyList<GenerationResult>> GenerateBatchAsync(IReadOnlyList<GenerationRequest> requests, IProgress<BatchProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(requests);
        var (finished, tokens) = (0, 0L);
        return await Task.WhenAll(requests.Select(Run)).ConfigureAwait(false);

        async Task<GenerationResult> Run(GenerationRequest request)
        {
            GenerationResult result;
            try
            {
                result = await CompleteAsync(request, cancellationToken).ConfigureAwait(false);
            }
            catch (EngineException failure)
            {
                result = new GenerationResult { RequestId = request.RequestId ?? "", Error = failure };
            }

            var generated = Interlocked.Add(ref tokens, result.Usage.CompletionTokens);
            progress?.Report(new(Interlocked.Increment(ref finished), requests.Count, generated));
            return result;
        }
    }

    /// <summary>Generates one token, to check that the engine still works. Metrics leave it out.</summary>
    /// <exception cref="EngineException">The engine does not work.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task ProbeAsync(CancellationToken cancellationToken = default)
    {
        var result = await CompleteAsync(GenerationRequest.FromTokenIds([0], new() { MaxTokens = 1, Detokenize = false }) with { IsProbe = true }, cancellationToken).ConfigureAwait(false);
        if (result.Outputs[0].FinishReason is not (FinishReason.Length or FinishReason.Stop))
            throw new EngineException(EngineErrorKind.GenerationFailed, "The engine generated no token.");
    }

    private async IAsyncEnumerable<GenerationOutput> Stream(LiveRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Start(request, cancellationToken);
        var complete = false;
        try
        {
            await foreach (var output in request.Outputs.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                yield return output;
            }

            complete = true;
        }
        finally
        {
            if (!complete)
                _inbox.Abort(request);
        }
    }

    private async IAsyncEnumerable<IReadOnlyList<GenerationOutput>> StreamInBatches(LiveRequest request, Func<TimeSpan> pause, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Start(request, cancellationToken);
        var complete = false;
        try
        {
            while (await request.Outputs.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
            {
                var batch = new List<GenerationOutput>();
                while (request.Outputs.TryRead(out var output))
                    batch.Add(output);
                yield return batch;
                if (!request.Ended.IsCompleted && pause() is { Ticks: > 0 } time)
                    await Task.WhenAny(Task.Delay(time, cancellationToken), request.Ended).ConfigureAwait(false);
            }

            complete = true;
        }
        finally
        {
            if (!complete)
                _inbox.Abort(request);
        }
    }

    private void Start(LiveRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!request.TryTake())
            throw new InvalidOperationException("The outputs of a request can be enumerated once; call GenerateAsync again for another run.");
        request.Activity = StartActivity(request);
        _inbox.Submit(request);
    }

    // The activity ends on the engine's thread, so it must not become the current activity of the caller.
    private Activity? StartActivity(LiveRequest request)
    {
        var current = Activity.Current;
        var activity = EngineMetrics.Activities.StartActivity("localllm.request");
        activity?.SetTag("gen_ai.request.model", ModelName).SetTag("gen_ai.usage.input_tokens", request.PromptTokenIds.Length).SetTag("localllm.request.id", request.Id);
        Activity.Current = current;
        return activity;
    }

    private LiveRequest Validate(GenerationRequest request)
    {
        if (_inbox.Closed is { } closed)
            throw closed;
        var ids = PromptIds(request);
        CheckCacheSalt(request.CacheSalt);
        CheckPriority(request.Priority);
        var sampling = SamplingValidator.Validate(request.Sampling ?? throw EngineException.InvalidRequest("sampling_params", "sampling_params is null; give one or leave it out"), new SamplingContext
        {
            VocabularySize = _vocabularySize,
            MaxModelLen = MaxModelLen,
            PromptLength = ids.Length,
            IsChat = request.Chat is not null,
            MustFit = request.MustFitContext,
            ModelDefaults = _samplingDefaults,
            EosTokenIds = _eosTokenIds,
            Thinking = _thinking,
            Grammars = _grammars,
            Tools = Tools(request),
            MaxLogprobs = Options.MaxLogprobs,
            Tokenize = Tokenizer is null ? null : (text, special) => TokenizerErrors.Translated(() => Tokenizer.Encode(text, special)),
        }, out var grammar);
        var id = request.RequestId ?? Interlocked.Increment(ref _nextRequestId).ToString(CultureInfo.InvariantCulture);
        return new()
        {
            Id = id,
            PromptTokenIds = ids,
            Sampling = sampling,
            Grammar = grammar,
            CacheSalt = request.CacheSalt,
            Priority = request.Priority,
            IsProbe = request.IsProbe,
            CreateText = Tokenizer is { } tokenizer ? () => new TextStream(tokenizer, sampling.SkipSpecialTokens, sampling.Stop, sampling.IncludeStopStrInOutput) : null,
        };
    }

    private ToolCallStructure? Tools(GenerationRequest request)
    {
        var choice = request.ToolChoice ?? ToolChoice.Auto;
        if (request.Chat?.Tools is { ValueKind: JsonValueKind.Array } tools && tools.GetArrayLength() > 0)
            return new(ToolFormat, request.HeldTools ?? tools, choice);
        return !choice.IsRequired ? null : throw EngineException.InvalidRequest("tool_choice", "tool_choice requires a call, and the request has no tools; give a chat with tools");
    }

    private int[] PromptIds(GenerationRequest request)
    {
        var given = (request.Prompt is null ? 0 : 1) + (request.PromptTokenIds is null ? 0 : 1) + (request.Chat is null ? 0 : 1);
        if (given != 1)
            throw EngineException.InvalidRequest("prompt", $"give exactly one of prompt, prompt_token_ids and messages; {given} were given");
        int[] ids = request switch
        {
            { Prompt: { } text } => EncodeText(text, request.AddSpecialTokens),
            { Chat: { } chat } => EncodeChat(chat.Structure is null ? chat with { Structure = Described(request.Sampling) } : chat),
            _ => [.. request.PromptTokenIds!],
        };
        if (ids.Length == 0)
            throw EngineException.InvalidRequest("prompt", "the prompt has 0 tokens; at least 1 is needed");
        var foreign = ids.AsSpan().IndexOfAnyExceptInRange(0, _vocabularySize - 1);
        if (foreign >= 0)
            throw EngineException.InvalidRequest("prompt_token_ids", $"token id {ids[foreign]} is outside of the vocabulary; allowed: 0 to {_vocabularySize - 1}");
        return ids;
    }

    // The caller of this method has compiled the structure, so exactly one of its properties is set.
    private StructuredOutputs? Described(SamplingParams? sampling) => sampling?.DescribeStructuredOutputs ?? Options.DescribeStructuredOutputs ? sampling?.StructuredOutputs : null;

    // The template writes its own special tokens; special tokens in a user's text are guarded and treated as text.
    private int[] EncodeChat(ChatTemplateRequest chat)
    {
        var tokenizer = NeedTokenizer("messages");
        ToolCallArguments.LogMalformed(chat.Messages, Options.LoggerFactory?.CreateLogger(EngineMetrics.Name));
        var prompt = ChatTemplate!.Render(chat, (text, guard, _) => tokenizer.GuardText(text, guard));
        CheckLength(prompt.Text);
        return TokenizerErrors.Translated(() => tokenizer.Encode(prompt.GuardedText, addSpecialTokens: false, prompt.Guard));
    }

    private int[] EncodeText(string text, bool addSpecialTokens)
    {
        var tokenizer = NeedTokenizer("prompt");
        CheckLength(text);
        return TokenizerErrors.Translated(() => tokenizer.Encode(text, addSpecialTokens));
    }

    // A text far longer than the context is refused before it costs memory for its tokens.
    private void CheckLength(string text)
    {
        var most = (long)MaxModelLen * MaxCharactersPerToken;
        if (text.Length > most)
            throw new EngineException(EngineErrorKind.ContextLengthExceeded, $"the prompt has {text.Length} characters; a context of {MaxModelLen} tokens cannot hold more than {most}. Shorten the prompt.", "prompt");
    }

    private Tokenizer NeedTokenizer(string field) =>
        Tokenizer ?? throw EngineException.InvalidRequest(field, "the engine runs without a tokenizer (skip_tokenizer_init); give prompt_token_ids");

    private void CheckPriority(int priority)
    {
        if (priority == 0 || Options.SchedulingPolicy == SchedulingPolicy.Priority)
            return;
        throw new EngineException(
            EngineErrorKind.InvalidRequest,
            $"priority is {priority}, and the engine serves requests in the order of their arrival (scheduling_policy fcfs); leave it out, or load the engine "
            + "with scheduling_policy priority",
            "priority") { IsUnsupported = true };
    }

    private static void CheckCacheSalt(string? salt)
    {
        if (salt is not null && (salt.Length is 0 or > MaxCacheSaltLength || salt.AsSpan().ContainsAny("@/\\\0")))
            throw EngineException.InvalidRequest("cache_salt", $"cache_salt has {salt.Length} characters; allowed: 1 to {MaxCacheSaltLength}, none of them @, /, \\ or NUL");
    }
}
