using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Sampling;
using LocalLlm.Tool.Arguments;

namespace LocalLlm.Tool.Requests;

/// <summary>
/// Reads a line of <c>generate</c> as a request: <c>prompt</c>, <c>prompt_token_ids</c> or <c>messages</c>, and any sampling
/// field under its vLLM name. One error lists everything that is wrong with the line.
/// </summary>
internal static class RequestLine
{
    private static readonly string[] PromptFields = ["prompt", "prompt_token_ids", "messages"];

    private static readonly string[] OwnFields =
    [
        .. PromptFields, .. ChatFields.Names, .. GuidedDecoding.Fields, .. ThinkingSetting.Fields, "add_special_tokens", "cache_salt", "priority", "request_id",
    ];

    // SamplingParams names its properties like vLLM's fields.
    private static readonly string[] AllFields =
    [
        .. OwnFields,
        .. typeof(SamplingParams).GetProperties()
            .Where(property => property.CanWrite)
            .Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)),
    ];

    /// <summary>The line's own id, which even an error repeats, or null.</summary>
    public static string? RequestId(JsonElement line) => new JsonFields(line, new RequestErrors()).Text("request_id");

    /// <summary>Reads a line; the engine checks ranges.</summary>
    /// <param name="line">The line's object.</param>
    /// <param name="canLimitThoughts">Whether the model's thoughts can be limited to a budget.</param>
    /// <param name="unread">Receives the names of members that are ignored, such as a line's own <c>id</c> or <c>model</c>.</param>
    /// <exception cref="EngineException">Kind InvalidRequest, listing everything that is malformed.</exception>
    public static GenerationRequest Read(JsonElement line, bool canLimitThoughts, ICollection<string> unread)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(line, errors);
        var thinking = ThinkingSetting.Read(fields, errors);
        ThinkingSetting.RefuseExclusion(fields, errors);
        var guided = GuidedDecoding.Read(fields, errors);
        var request = new GenerationRequest
        {
            Prompt = fields.Text("prompt", "a text; token ids belong into prompt_token_ids"),
            PromptTokenIds = fields.TokenIds("prompt_token_ids"),
            Chat = ChatFields.Read(fields, thinking, errors),
            CacheSalt = fields.Text("cache_salt"),
            Priority = fields.Integer("priority") ?? 0,
            RequestId = fields.Text("request_id"),
        };
        request = request with { ToolChoice = ChatFields.ReadChoice(fields, errors, request.Chat) };
        var addSpecialTokens = fields.Boolean("add_special_tokens");
        CheckPrompt(fields, errors);
        var own = FaultsOf(errors);
        try
        {
            var sampling = SamplingParamsJson.Parse(line, OwnFields, out var others);
            foreach (var name in others)
            {
                if (NearestName.Meant(name, AllFields) is { } meant)
                    errors.Add(name, "a field that does not exist", $"known ones; did you mean {meant}?");
                else
                    unread.Add(name);
            }

            errors.ThrowIfAny();
            sampling = sampling with
            {
                StructuredOutputs = GuidedDecoding.Combine(guided, sampling.StructuredOutputs),
                ThinkingTokenBudget = sampling.ThinkingTokenBudget ?? (canLimitThoughts ? thinking?.Budget : null),
            };
            return request with { Sampling = sampling, AddSpecialTokens = addSpecialTokens ?? true };
        }
        catch (EngineException fault) when (own is not null && !fault.Message.StartsWith(own.Message, StringComparison.Ordinal))
        {
            // Both readers report a field that is given twice.
            var messages = own.Message.Split("; ").Concat(fault.Message.Split("; ")).Distinct();
            throw EngineException.InvalidRequest(own.Parameter, string.Join("; ", messages));
        }
    }

    private static void CheckPrompt(JsonFields fields, RequestErrors errors)
    {
        var given = PromptFields.Where(name => fields.Take(name) is not null).ToArray();
        if (given.Length == 0)
            errors.Add("prompt", "no prompt", "exactly one of prompt, prompt_token_ids and messages");
        else if (given.Length > 1)
            errors.Add(given[1], string.Join(" and ", given), "exactly one of prompt, prompt_token_ids and messages");
    }

    private static EngineException? FaultsOf(RequestErrors errors)
    {
        try
        {
            errors.ThrowIfAny();
            return null;
        }
        catch (EngineException fault)
        {
            return fault;
        }
    }
}
