using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Sampling;
using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>The body of <c>/v1/chat/completions</c>. Its form is validated here; the engine validates ranges.</summary>
internal sealed record ChatRequest
{
    // Fields that are read here, or that have no effect in a server of one model. All other known fields are vLLM's sampling parameters.
    private static readonly string[] OwnFields =
    [
        "messages", "model", "tools", "tool_choice", "parallel_tool_calls", "stream", "stream_options", "user", "safety_identifier", "prompt_cache_key", "metadata", "store", "service_tier", "verbosity",
        "documents", "add_generation_prompt", "continue_final_message", "chat_template_kwargs", "add_special_tokens", "cache_salt", "priority", "request_id", "session_id",
        "return_token_ids", "return_tokens_as_token_ids", "modalities", "functions", "function_call", "audio", "prediction", "web_search_options", "moderation", "prompt_cache_retention",
        .. ThinkingSetting.Fields, .. GuidedDecoding.Fields,
    ];

    /// <summary>The request to the engine.</summary>
    public required GenerationRequest Generation { get; init; }

    /// <summary>The model's name, or null.</summary>
    public string? Model { get; init; }

    /// <summary>The request's id, or null.</summary>
    public string? RequestId { get; init; }

    /// <summary>Whether and how the response is streamed.</summary>
    public required StreamOptions Stream { get; init; }

    /// <summary>Whether the request names the tool to call; the finish reason is then <c>stop</c>.</summary>
    public bool NamesTool { get; init; }

    /// <summary>Whether the response must consist of tool calls; any other text is then part of a call that was cut off.</summary>
    public bool ForcesCalls => Generation.ToolChoice is { IsRequired: true };

    /// <summary>Whether one call ends the response.</summary>
    public bool SingleCall { get; init; }

    /// <summary>Whether the reasoning is sent.</summary>
    public bool IncludeReasoning { get; init; } = true;

    /// <summary>
    /// The thinking budget that <c>reasoning_effort</c>, <c>thinking</c> or <c>enable_thinking</c> requests, for models that support one;
    /// null: not requested.
    /// </summary>
    public int? EffortBudget { get; init; }

    /// <summary>Whether token ids are sent.</summary>
    public bool ReturnTokenIds { get; init; }

    /// <summary>Whether log-probabilities name tokens as <c>token_id:N</c>.</summary>
    public bool TokensAsIds { get; init; }

    /// <summary>Unknown fields of the body.</summary>
    public IReadOnlyList<string> Unknown { get; init; } = [];

    /// <summary>Reads <paramref name="body"/>; the result outlives the body's document.</summary>
    /// <param name="body">The body.</param>
    /// <param name="maxLogprobs">Maximum number of log-probabilities per position; -1: no limit.</param>
    /// <param name="defaultKwargs">Default template variables, which the request's own override.</param>
    /// <exception cref="ApiException">400.</exception>
    /// <exception cref="EngineException">InvalidRequest.</exception>
    public static ChatRequest Read(JsonElement body, int maxLogprobs, IReadOnlyDictionary<string, JsonElement> defaultKwargs)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(body, errors);
        RefuseUnsupported(fields, errors);
        var messages = ChatMessages.Read(fields, errors);
        var tools = ChatTools.Read(fields, errors);
        var choice = ToolChoiceJson.Read(fields, errors, tools, out var withoutTools);
        if (withoutTools)
            tools = null;
        var thinking = ThinkingSetting.Read(fields, errors);
        var guided = GuidedDecoding.Read(fields, errors);
        var continues = fields.Boolean("continue_final_message") ?? false;
        var begins = fields.Boolean("add_generation_prompt") ?? !continues;
        if (continues && begins)
            errors.Add("continue_final_message", "true", "only with add_generation_prompt: false");
        if (fields.Boolean("add_special_tokens") == true)
            errors.Add("add_special_tokens", "true", "false in a chat: its template writes the special tokens");
        var kwargs = TemplateVariables.Read(fields, errors, thinking, defaultKwargs);
        var documents = fields.Json("documents", JsonValueKind.Array, "a list of documents");
        var request = new ChatRequest
        {
            Model = fields.Text("model"),
            RequestId = fields.Text("request_id"),
            Stream = StreamOptions.Read(fields, errors),
            NamesTool = choice is { FunctionName: not null },
            SingleCall = fields.Boolean("parallel_tool_calls") == false,
            IncludeReasoning = ThinkingSetting.IncludesThoughts(fields, errors),
            EffortBudget = thinking?.Budget,
            ReturnTokenIds = fields.Boolean("return_token_ids") ?? false,
            TokensAsIds = fields.Boolean("return_tokens_as_token_ids") ?? false,
            Generation = new()
            {
                Chat = messages is not { } chat ? null : new()
                {
                    Messages = chat,
                    Tools = tools,
                    DescribeTools = tools is not null,
                    Documents = documents?.Clone(),
                    AddGenerationPrompt = begins,
                    ContinueFinalMessage = continues,
                    ChatTemplateKwargs = kwargs,
                },
                CacheSalt = fields.Text("cache_salt"),
                Priority = fields.Integer("priority") ?? 0,
                MustFitContext = true,
            },
        };
        var toolChoice = choice is null ? null : choice with { AllowParallelCalls = choice.AllowParallelCalls && !request.SingleCall };
        fields.Boolean("logprobs");
        if (maxLogprobs >= 0 && fields.Integer("top_logprobs") is { } top && (top < 0 || top > maxLogprobs))
            errors.Add("top_logprobs", top, $"0 to {maxLogprobs}");
        if (request.Stream.IsStream && fields.Integer("prompt_logprobs") is not null)
            errors.Add("prompt_logprobs", "a number", "only without stream: true");
        errors.ThrowIfAny();
        var sampling = SamplingParamsJson.Parse(body, OwnFields, out var unknown);
        sampling = sampling with { StructuredOutputs = GuidedDecoding.Combine(guided, sampling.StructuredOutputs) };
        SamplingLimits.Check(sampling);
        return request with { Generation = request.Generation with { Sampling = sampling, ToolChoice = toolChoice }, Unknown = unknown };
    }

    private static void RefuseUnsupported(JsonFields fields, RequestErrors errors)
    {
        foreach (var name in (string[])["functions", "function_call", "audio", "prediction", "web_search_options", "moderation"])
        {
            if (fields.Take(name) is { } value && value.ValueKind != JsonValueKind.Null)
                errors.AddUnsupported(name);
        }

        if (fields.Strings("modalities", allowBare: false) is { } modalities && modalities.Any(modality => modality != "text"))
            errors.AddUnsupported("modalities", string.Join(", ", modalities.Where(modality => modality != "text")), "text");
    }
}
