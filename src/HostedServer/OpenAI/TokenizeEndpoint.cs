using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Server.Http;
using LocalLlm.Templating;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /tokenize</c> (a text or a chat) and <c>POST /detokenize</c>.</summary>
internal sealed class TokenizeEndpoint(ServedEngine served, LocalLlmServerOptions options, TimeProvider time) : IDisposable
{
    // The longest entries of real vocabularies have some 500 characters.
    private const int CharactersPerToken = 1024;
    private const int ContextsOfIds = 8;

    private readonly IReadOnlyDictionary<string, JsonElement> _defaultKwargs = TemplateVariables.Parse(options.DefaultChatTemplateKwargs);

    // Tokenizing long texts takes CPU time: no more requests run at once than there are cores.
    private readonly SemaphoreSlim _places = new(Environment.ProcessorCount);

    /// <inheritdoc/>
    public void Dispose() => _places.Dispose();

    /// <summary>Converts a text or chat to token ids.</summary>
    public async Task TokenizeAsync(HttpContext context)
    {
        served.RequireUsable();
        using var body = await JsonBody.ReadAsync(context, options, time);
        var errors = new RequestErrors();
        var fields = new JsonFields(body.RootElement, errors);
        var prompt = fields.Text("prompt");
        var chat = fields.Take("messages") is null ? null : Chat(fields, errors);
        var special = fields.Boolean("add_special_tokens");
        var strings = fields.Boolean("return_token_strs") ?? false;
        var model = fields.Text("model");
        if (chat is not null && special == true)
            errors.Add("add_special_tokens", "true", "false in a chat: its template writes the special tokens");
        if (errors.Count == 0 && (prompt is null) == (chat is null))
            errors.Add("prompt", prompt is null ? "nothing" : "prompt and messages", "exactly one of prompt and messages");
        errors.ThrowIfAny();
        var tokenizer = served.RequireTokenizer(model);
        if (prompt?.Length > (long)tokenizer.MaxModelLen * CharactersPerToken)
            throw new ApiException(ApiError.Invalid($"prompt: {prompt.Length} characters are more than a context of {tokenizer.MaxModelLen} tokens can hold; shorten the text", "prompt", "context_length_exceeded"));
        int[] ids;
        // The place is released before the response is sent: a client that reads slowly must not block other clients.
        using (await TakePlaceAsync(context))
            ids = prompt is not null ? tokenizer.Encode(prompt, special ?? true) : tokenizer.EncodeChat(chat!);
        var result = new TokenizeResult(ids.Length, tokenizer.MaxModelLen, ids) { TokenStrs = strings ? [.. ids.Select(id => tokenizer.Tokenizer.IdToToken(id) ?? "")] : null };
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(result, WireJson.Wire.TokenizeResult));
    }

    /// <summary>Converts token ids to text.</summary>
    public async Task DetokenizeAsync(HttpContext context)
    {
        served.RequireUsable();
        using var body = await JsonBody.ReadAsync(context, options, time);
        var errors = new RequestErrors();
        var fields = new JsonFields(body.RootElement, errors);
        var ids = fields.TokenIds("tokens");
        var model = fields.Text("model");
        if (errors.Count == 0 && ids is null)
            errors.Add("tokens", "nothing", "a list of token ids");
        errors.ThrowIfAny();
        var (tokenizer, longest, _, _) = served.RequireTokenizer(model);
        foreach (var id in ids!)
        {
            if (id < 0 || id >= tokenizer.VocabularySize)
            {
                errors.Add("tokens", id, $"0 to {tokenizer.VocabularySize - 1}");
                break;
            }
        }

        if (ids.Count > (long)longest * ContextsOfIds)
            errors.Add("tokens", $"{ids.Count} ids", $"at most {(long)longest * ContextsOfIds}");
        errors.ThrowIfAny();
        string text;
        using (await TakePlaceAsync(context))
            text = tokenizer.Decode(ids);
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(new(text), WireJson.Wire.DetokenizeResult));
    }

    private async Task<Place> TakePlaceAsync(HttpContext context)
    {
        await _places.WaitAsync(context.RequestAborted);
        return new(_places);
    }

    private ChatTemplateRequest? Chat(JsonFields fields, RequestErrors errors)
    {
        var messages = ChatMessages.Read(fields, errors);
        var tools = ChatTools.Read(fields, errors);
        var continues = fields.Boolean("continue_final_message") ?? false;
        var begins = fields.Boolean("add_generation_prompt") ?? !continues;
        if (continues && begins)
            errors.Add("continue_final_message", "true", "only with add_generation_prompt: false");
        var kwargs = TemplateVariables.Read(fields, errors, ThinkingSetting.Read(fields, errors), _defaultKwargs);
        if (fields.Take("chat_template") is not null)
            errors.AddUnsupported("chat_template");
        return messages is not { } chat ? null : new() { Messages = chat, Tools = tools, DescribeTools = tools is not null, AddGenerationPrompt = begins, ContinueFinalMessage = continues, ChatTemplateKwargs = kwargs };
    }

    private readonly struct Place(SemaphoreSlim places) : IDisposable
    {
        public void Dispose() => places.Release();
    }
}
