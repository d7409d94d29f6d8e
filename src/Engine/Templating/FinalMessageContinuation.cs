using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>
/// Ends a prompt inside its last message, as transformers does: it appends a tag to the message and cuts the prompt there.
/// </summary>
internal sealed class FinalMessageContinuation
{
    private const string Field = "continue_final_message";
    private const string Tag = "CONTINUE_FINAL_MESSAGE_TAG ";

    private readonly string _text;

    private FinalMessageContinuation(string text) => _text = text;

    /// <summary>Appends the tag to the last text of <paramref name="message"/>, which belongs to the caller of this method.</summary>
    /// <exception cref="EngineException">There is no text to continue.</exception>
    public static FinalMessageContinuation Mark(PyDict message, string templateSource)
    {
        if (!templateSource.Contains("content", StringComparison.Ordinal))
            throw EngineException.InvalidRequest(Field, "continue_final_message is set, but the chat template does not use a message's content");
        switch (message.Get("content"))
        {
            case string text:
                message["content"] = text + Tag;
                return new FinalMessageContinuation(text);
            case List<object?> parts when parts.OfType<PyDict>().LastOrDefault(part => part.Get("text") is string) is { } part:
                var last = (string)part.Get("text")!;
                part["text"] = last + Tag;
                return new FinalMessageContinuation(last);
            default:
                throw EngineException.InvalidRequest(Field, "continue_final_message is set, but the final message has no content to continue");
        }
    }

    /// <summary>The prompt up to the tag.</summary>
    /// <exception cref="EngineException">The template dropped or changed the message.</exception>
    public string Cut(string rendered)
    {
        var at = rendered.LastIndexOf(Tag.TrimEnd(), StringComparison.Ordinal);
        if (at < 0 || !rendered.Contains(PythonText.Strip(_text), StringComparison.Ordinal))
        {
            throw EngineException.InvalidRequest(
                Field, "continue_final_message is set, but the chat template drops the final message or part of it");
        }

        // If the tag was trimmed, the template trims the message, so the cut must be trimmed too.
        var isWhole = string.CompareOrdinal(rendered, at, Tag, 0, Tag.Length) == 0;
        return isWhole ? rendered[..at] : PythonText.RStrip(rendered[..at]);
    }
}
