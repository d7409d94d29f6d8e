using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Sampling;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/v1/completions</c>. Only its form is validated here.</summary>
internal sealed record CompletionRequest
{
    private const int MaxPrompts = 256;

    private static readonly string[] OwnFields =
    [
        "prompt", "model", "echo", "stream", "stream_options", "user", "add_special_tokens", "cache_salt", "priority", "request_id", "session_id", "return_token_ids", "return_tokens_as_token_ids",
        .. ThinkingSetting.Fields, .. GuidedDecoding.Fields,
    ];

    /// <summary>The requests to the engine, one per prompt.</summary>
    public required IReadOnlyList<GenerationRequest> Generations { get; init; }

    /// <summary>The model's name, or null.</summary>
    public string? Model { get; init; }

    /// <summary>The request's id, or null.</summary>
    public string? RequestId { get; init; }

    /// <summary>Whether and how the response is streamed.</summary>
    public required StreamOptions Stream { get; init; }

    /// <summary>Whether the text of a choice begins with its prompt.</summary>
    public bool Echo { get; init; }

    /// <summary>Whether nothing is generated: the prompt is only scored (<c>echo</c> with <c>max_tokens: 0</c>).</summary>
    public bool ScoresOnly { get; init; }

    /// <summary>Whether token ids are sent.</summary>
    public bool ReturnTokenIds { get; init; }

    /// <summary>Whether log-probabilities name tokens as <c>token_id:N</c>.</summary>
    public bool TokensAsIds { get; init; }

    /// <summary>Whether the caller asked for the prompt's log-probabilities under vLLM's name.</summary>
    public bool PromptLogprobs { get; init; }

    /// <summary>
    /// The thinking budget that <c>reasoning_effort</c>, <c>thinking</c> or <c>enable_thinking</c> requests, for models that support one;
    /// null: not requested.
    /// </summary>
    public int? EffortBudget { get; init; }

    /// <summary>Number of choices per prompt.</summary>
    public int N => Generations[0].Sampling.N;

    /// <summary>Unknown fields of the body.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Reads <paramref name="body"/>.</summary>
    /// <exception cref="ApiException">400.</exception>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static CompletionRequest Read(JsonElement body)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        if (fields.Take("prompt_embeds") is not null)
            errors.AddUnsupported("prompt_embeds");
        errors.ThrowIfAny();
        var prompts = PromptField.Read(fields, errors, MaxPrompts);
        var echo = fields.Boolean("echo") ?? false;
        var stream = StreamOptions.Read(fields, errors);
        if (fields.Take("logprobs") is { ValueKind: JsonValueKind.True or JsonValueKind.False } logprobs)
            fields.Refuse("logprobs", logprobs, "a count");
        var addSpecialTokens = fields.Boolean("add_special_tokens") ?? true;
        var salt = fields.Text("cache_salt");
        var priority = fields.Integer("priority") ?? 0;
        var scoresOnly = fields.Take("max_tokens") is { ValueKind: JsonValueKind.Number } most && most.TryGetInt64(out var count) && count == 0;
        if (scoresOnly && !echo)
            errors.Add("max_tokens", 0, "at least 1, or 0 together with echo: true");
        var thinking = ThinkingSetting.Read(fields, errors);
        ThinkingSetting.RefuseExclusion(fields, errors);
        var guided = GuidedDecoding.Read(fields, errors);
        var request = new CompletionRequest
        {
            Generations = [],
            Model = fields.Text("model"),
            RequestId = fields.Text("request_id"),
            Stream = stream,
            Echo = echo,
            ScoresOnly = scoresOnly,
            ReturnTokenIds = fields.Boolean("return_token_ids") ?? false,
            TokensAsIds = fields.Boolean("return_tokens_as_token_ids") ?? false,
            PromptLogprobs = fields.Take("prompt_logprobs") is not null,
            EffortBudget = thinking?.Budget,
        };
        errors.ThrowIfAny();
        var sampling = SamplingParamsJson.Parse(body, OwnFields, out var unknown);
        sampling = sampling with { StructuredOutputs = GuidedDecoding.Combine(guided, sampling.StructuredOutputs) };
        SamplingLimits.Check(sampling);
        if (scoresOnly)
            sampling = sampling with { MaxTokens = 1, MinTokens = 0 };
        // An echoed prompt also gets the requested log-probabilities.
        if (echo && sampling is { Logprobs: { } asked, PromptLogprobs: null })
            sampling = sampling with { PromptLogprobs = asked };
        return request with
        {
            Generations = [.. prompts!.Select(prompt => prompt with { Sampling = sampling, AddSpecialTokens = addSpecialTokens, CacheSalt = salt, Priority = priority, MustFitContext = true })],
            Unknown = unknown,
        };
    }
}
