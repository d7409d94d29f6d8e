using System.Text.Json;

namespace LocalLlm.Templating;

/// <summary>A chat to render; nothing in it is trusted.</summary>
public sealed record ChatTemplateRequest
{
    /// <summary>The messages as in OpenAI's API: an array of objects with a <c>role</c>.</summary>
    public required JsonElement Messages { get; init; }

    /// <summary>The tools as in OpenAI's API, or null.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>
    /// Whether the engine describes the tools at the end of the system message if the model's own template has no place for them.
    /// False: with such a template the prompt does not mention the tools, as in transformers.
    /// </summary>
    public bool DescribeTools { get; init; }

    /// <summary>The structure that the response must follow, described at the end of the system message; null: none.</summary>
    public StructuredOutputs? Structure { get; init; }

    /// <summary>Documents for retrieval: an array of objects, or null.</summary>
    public JsonElement? Documents { get; init; }

    /// <summary>Whether the prompt ends with the beginning of an assistant's message.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>
    /// Whether the prompt ends inside the last message, which the model then continues. Excludes <see cref="AddGenerationPrompt"/>.
    /// </summary>
    public bool ContinueFinalMessage { get; init; }

    /// <summary>Additional variables of the template (<c>chat_template_kwargs</c>); reserved names are refused.</summary>
    public IReadOnlyDictionary<string, JsonElement>? ChatTemplateKwargs { get; init; }

    /// <summary>Creates a request with these messages.</summary>
    /// <param name="messages">The chat, oldest first.</param>
    public static ChatTemplateRequest FromMessages(IEnumerable<ChatMessage> messages)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return new() { Messages = JsonSerializer.SerializeToElement(messages.Select(message => message.ToJson())) };
    }
}
