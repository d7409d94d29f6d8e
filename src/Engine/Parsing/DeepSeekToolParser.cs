namespace LocalLlm.Parsing;

/// <summary>
/// DeepSeek's calls. V3 and R1 (vLLM's <c>deepseek_v3</c>) write a type, the name and fenced JSON; V3.1 (<c>deepseek_v31</c>) the name and JSON. A name never begins with a
/// brace, so one reader takes both.
/// </summary>
internal sealed class DeepSeekToolParser() : ToolCallParser("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")
{
    private const string Separator = "<｜tool▁sep｜>";
    private const string Fence = "```";
    private const string FenceLanguage = "json";
    private const string NoArguments = "{}";

    /// <inheritdoc/>
    protected override OutputPiece? Read(string call)
    {
        var at = call.IndexOf(Separator, StringComparison.Ordinal);
        if (at < 0)
            return null;
        var (first, rest) = (call[..at].Trim(), call[(at + Separator.Length)..].Trim());
        if (rest.StartsWith('{'))
            return Call(first, rest);
        var line = rest.IndexOfAny(['\n', '`', '{']);
        return line < 0 ? Call(rest, NoArguments) : Call(rest[..line].Trim(), Unfenced(rest[line..].Trim()));
    }

    /// <inheritdoc/>
    protected override bool IsComplete(string call)
    {
        var at = call.IndexOf(Separator, StringComparison.Ordinal);
        var arguments = at < 0 ? -1 : call.IndexOfAny(['`', '{'], at);
        return arguments >= 0 && ToolCallJson.IsJson(Unfenced(call[arguments..].Trim()));
    }

    private static OutputPiece? Call(string name, string arguments) =>
        name.Length == 0 ? null : new(OutputPieceKind.ToolCall, arguments.Length == 0 ? NoArguments : arguments, name);

    private static string Unfenced(string text)
    {
        if (!text.StartsWith(Fence, StringComparison.Ordinal))
            return text;
        text = text[Fence.Length..];
        if (text.StartsWith(FenceLanguage, StringComparison.Ordinal))
            text = text[FenceLanguage.Length..];
        return (text.TrimEnd() is var trimmed && trimmed.EndsWith(Fence, StringComparison.Ordinal) ? trimmed[..^Fence.Length] : text).Trim();
    }
}
