namespace LocalLlm.Parsing;

/// <summary>Splits a response into thoughts, text and calls. It looks for calls only in the text, never in a thought.</summary>
/// <param name="reasoning">Separates thoughts from text; null: everything is text.</param>
/// <param name="tools">Looks for calls; null: there are none.</param>
internal sealed class ResponseParser(ReasoningParser? reasoning, IOutputParser? tools) : IOutputParser
{
    private readonly List<ResponsePart> _parts = [];

    /// <summary>Whether the next text belongs to a thought.</summary>
    public bool IsThinking => reasoning is { IsThinking: true };

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<char> text, List<ResponsePart> pieces)
    {
        if (reasoning is null)
        {
            AppendText(text, pieces);
            return;
        }

        reasoning.Append(text, _parts);
        PassOn(pieces);
    }

    /// <inheritdoc/>
    public void Finish(List<ResponsePart> pieces, bool isCut = false)
    {
        reasoning?.Finish(_parts, isCut);
        PassOn(pieces);
        tools?.Finish(pieces, isCut);
    }

    private void PassOn(List<ResponsePart> pieces)
    {
        foreach (var part in _parts)
        {
            if (part.Kind == ResponsePartKind.Text)
                AppendText(part.Value, pieces);
            else
                pieces.Add(part);
        }

        _parts.Clear();
    }

    private void AppendText(ReadOnlySpan<char> text, List<ResponsePart> pieces)
    {
        if (tools is not null)
            tools.Append(text, pieces);
        else if (text.Length > 0)
            pieces.Add(new(ResponsePartKind.Text, text.ToString()));
    }
}
