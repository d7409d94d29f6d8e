using LocalLlm.Templating;
using LocalLlm.Tokenizers;

namespace LocalLlm.Server.Http;

/// <summary>The tokenizer of a served model, and how a request's text becomes its tokens.</summary>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="MaxModelLen">Most tokens of a text.</param>
/// <param name="Template">How a chat becomes text; null: the model takes no chats.</param>
/// <param name="Encode">A text, and whether it gets the tokenizer's own special tokens, → ids.</param>
internal sealed record ServedTokenizer(Tokenizer Tokenizer, int MaxModelLen, ChatTemplate? Template, Func<string, bool, int[]> Encode)
{
    /// <summary>The model's name.</summary>
    public required string Model { get; init; }

    /// <summary>A served model that takes chats, where this one does not; or null.</summary>
    public string? ModelForChats { get; init; }

    /// <summary>Of a model that generates text.</summary>
    /// <exception cref="ApiException">400: the server runs without a tokenizer.</exception>
    public static ServedTokenizer Of(LlmEngine engine)
    {
        var tokenizer = engine.Tokenizer ?? throw new ApiException(ApiError.Invalid("The server runs without a tokenizer (--skip-tokenizer-init).", "prompt"));
        return new(tokenizer, engine.MaxModelLen, engine.ChatTemplate, (text, addSpecialTokens) => tokenizer.Encode(text, addSpecialTokens)) { Model = engine.ModelName };
    }

    /// <summary>Of a model that embeds it: special tokens in a text are text, as when it is embedded.</summary>
    /// <param name="engine">The model.</param>
    /// <param name="modelForChats">A served model that takes chats, or null.</param>
    public static ServedTokenizer Of(EmbeddingEngine engine, string? modelForChats) => new(engine.Tokenizer, engine.MaxModelLen, null, (text, addSpecialTokens) =>
        engine.Tokenize(text, addSpecialTokens, "prompt"))
    {
        Model = engine.ModelName,
        ModelForChats = modelForChats,
    };

    /// <summary>A chat → ids.</summary>
    /// <exception cref="ApiException">400: the model takes no chats.</exception>
    public int[] EncodeChat(ChatTemplateRequest chat)
    {
        if (Template is null)
            throw new ApiException(ApiError.Invalid($"messages: '{Model}' is an embedding model and has no chat template; give prompt{(ModelForChats is null ? "" : $", or use '{ModelForChats}'")}.", "messages"));
        var prompt = Template.Render(chat, (text, guard, _) => Tokenizer.GuardText(text, guard));
        return Tokenizer.Encode(prompt.GuardedText, addSpecialTokens: false, prompt.Guard);
    }
}
