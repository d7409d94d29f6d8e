namespace LocalLlm.Server.Requests;

/// <summary>Tells thinking from answer in a stream of text: what stands between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c>, the tags included.</summary>
/// <param name="thinking">Whether the text begins inside.</param>
internal sealed class ThinkingSplitter(bool thinking)
{
    private const string Open = "<think>";
    private const string Close = "</think>";
    private string _held = "";

    /// <summary>A stretch of text of one kind.</summary>
    internal readonly record struct Part(string Text, bool IsThinking);

    /// <summary>Takes more text; what could be the beginning of a tag is held back.</summary>
    public IReadOnlyList<Part> Push(string text)
    {
        var parts = new List<Part>();
        var rest = _held + text;
        while (true)
        {
            var tag = thinking ? Close : Open;
            var at = rest.IndexOf(tag, StringComparison.Ordinal);
            if (at < 0)
                break;
            // Both tags belong to the thinking.
            var before = thinking ? at + tag.Length : at;
            Add(parts, rest[..before], thinking);
            rest = rest[before..];
            if (!thinking)
            {
                Add(parts, Open, isThinking: true);
                rest = rest[Open.Length..];
            }

            thinking = !thinking;
        }

        var held = HeldLength(rest, thinking ? Close : Open);
        Add(parts, rest[..^held], thinking);
        _held = rest[^held..];
        return parts;
    }

    /// <summary>What is held back, at the end of the text.</summary>
    public IReadOnlyList<Part> Flush()
    {
        var parts = new List<Part>();
        Add(parts, _held, thinking);
        _held = "";
        return parts;
    }

    private static void Add(List<Part> parts, string text, bool isThinking)
    {
        if (text.Length > 0)
            parts.Add(new(text, isThinking));
    }

    private static int HeldLength(string text, string tag)
    {
        for (var length = Math.Min(tag.Length - 1, text.Length); length > 0; length--)
        {
            if (text.EndsWith(tag[..length], StringComparison.Ordinal))
                return length;
        }

        return 0;
    }
}
