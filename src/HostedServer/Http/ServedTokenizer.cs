using LocalLlm.Templating;
using LocalLlm.Tokenizers;

namespace LocalLlm.Server.Http;

/// <summary>The tokenizer of a served model, and how it tokenizes a request's text.</summary>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="MaxModelLen">Maximum number of tokens of a text.</param>
/// <param name="Template">The chat template; null: the model takes no chats.</param>
/// <param name="Encode">Converts a text to ids; the flag says whether to add the tokenizer's special tokens.</param>
internal sealed record ServedTokenizer(Tokenizer Tokenizer, int MaxModelLen, ChatTemplate? Template, Func<string, bool, int[]> Encode)
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>A served model that takes chats, if this model does not; else null.</summary>
    public string? ModelForChats { get; init; }

    /// <summary>The tokenizer of a model that generates text.</summary>
    /// <exception cref="ApiException">400: the server runs without a tokenizer.</exception>
    public static ServedTokenizer Of(LlmEngine engine)
    {
        var tokenizer = engine.Tokenizer ?? throw new ApiException(ApiError.Invalid("The server runs without a tokenizer (--skip-tokenizer-init).", "prompt"));
        return new(tokenizer, engine.MaxModelLen, engine.ChatTemplate, (text, addSpecialTokens) => tokenizer.Encode(text, addSpecialTokens)) { Model = engine.ModelName };
    }

    /// <summary>The tokenizer of a model that embeds text. Special tokens in a text are treated as text, as in embedding.</summary>
    /// <param name="engine">The model.</param>
    /// <param name="modelForChats">A served model that takes chats, or null.</param>
    public static ServedTokenizer Of(EmbeddingEngine engine, string? modelForChats) => new(engine.Tokenizer, engine.MaxModelLen, null, (text, addSpecialTokens) =>
        engine.Tokenize(text, addSpecialTokens, "prompt"))
    {
        Model = engine.ModelName,
        ModelForChats = modelForChats,
    };

    /// <summary>Converts a chat to ids.</summary>
    /// <exception cref="ApiException">400: the model takes no chats.</exception>
    public int[] EncodeChat(ChatTemplateRequest chat)
    {
        if (Template is null)
            throw new ApiException(ApiError.Invalid($"messages: '{Model}' is an embedding model and has no chat template; give prompt{(ModelForChats is null ? "" : $", or use '{ModelForChats}'")}.", "messages"));
        var prompt = Template.Render(chat, (text, guard, _) => Tokenizer.GuardText(text, guard));
        return Tokenizer.Encode(prompt.GuardedText, addSpecialTokens: false, prompt.Guard);
    }
}
