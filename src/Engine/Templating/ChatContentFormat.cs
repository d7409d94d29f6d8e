namespace LocalLlm.Templating;

/// <summary>What a template expects as the content of a message (vLLM's <c>--chat-template-content-format</c>).</summary>
public enum ChatContentFormat
{
    /// <summary>Detected from the template: whether it iterates over the content.</summary>
    Auto,

    /// <summary>One string; text parts are joined by newlines.</summary>
    String,

    /// <summary>A list of parts as in OpenAI's API.</summary>
    OpenAI,
}
