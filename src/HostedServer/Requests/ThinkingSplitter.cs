namespace LocalLlm.Server.Requests;

/// <summary>Tells thinking from answer in a stream of text: what stands between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c>, the tags included.</summary>
internal sealed class ThinkingSplitter
{
    /// <summary>Begins the thinking.</summary>
    public const string Open = "<think>";

    /// <summary>Ends it.</summary>
    public const string Close = "</think>";

    private string _held = "";

    /// <summary>Whether what comes next is thinking; a prompt may have opened it.</summary>
    public bool IsThinking { get; set; }

    /// <summary>A stretch of text of one kind.</summary>
    internal readonly record struct Part(string Text, bool IsThinking);

    /// <summary>Takes more text; what could be the beginning of a tag is held back.</summary>
    public IReadOnlyList<Part> Push(string text)
    {
        var parts = new List<Part>();
        var rest = _held + text;
        while (true)
        {
            var tag = IsThinking ? Close : Open;
            var at = rest.IndexOf(tag, StringComparison.Ordinal);
            if (at < 0)
                break;
            // Both tags belong to the thinking.
            var before = IsThinking ? at + tag.Length : at;
            Add(parts, rest[..before], IsThinking);
            rest = rest[before..];
            if (!IsThinking)
            {
                Add(parts, Open, isThinking: true);
                rest = rest[Open.Length..];
            }

            IsThinking = !IsThinking;
        }

        var held = HeldLength(rest, IsThinking ? Close : Open);
        Add(parts, rest[..^held], IsThinking);
        _held = rest[^held..];
        return parts;
    }

    /// <summary>What is held back, at the end of the text.</summary>
    public IReadOnlyList<Part> Flush()
    {
        var parts = new List<Part>();
        Add(parts, _held, IsThinking);
        _held = "";
        return parts;
    }

    /// <summary>What follows the last end of thinking; all of a text without one.</summary>
    public static string AfterThinking(string text) =>
        text.LastIndexOf(Close, StringComparison.Ordinal) is >= 0 and var at ? text[(at + Close.Length)..] : text;

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
