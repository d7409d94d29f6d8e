using System.Text;
using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>
/// Marks the added tokens in a caller's text, so that the tokenizer can distinguish them from the template's own. The mark is a Unicode
/// noncharacter that no input contains.
/// </summary>
internal sealed class TokenGuard
{
    private const char First = '\uFDD0';
    private const char Last = '\uFDEF';

    // Templates compare the values of these fields with fixed words.
    private static readonly HashSet<string> ComparedNames = ["role", "type"];

    private readonly Func<string, char, bool, string> _guardText;
    private readonly string[] _assistantTags;

    private TokenGuard(char mark, Func<string, char, bool, string> guardText, IReadOnlyList<string> searchedTexts)
    {
        Mark = mark;
        _guardText = guardText;
        // The tags at which the template cuts an assistant's text must stay findable.
        _assistantTags = [.. searchedTexts.Append("<think>").Append("</think>").Distinct()
            .Where(text => guardText(text, mark, true).Contains(mark)).OrderByDescending(text => text.Length)];
    }

    public char Mark { get; }

    /// <exception cref="EngineException">Every mark occurs in the input.</exception>
    public static TokenGuard Create(
        Func<string, char, bool, string> guardText, IReadOnlyList<string> searchedTexts, params ReadOnlySpan<object?> inputs)
    {
        var used = new HashSet<char>();
        foreach (var input in inputs)
            Visit(input, text => used.UnionWith(text.Where(c => c is >= First and <= Last)));
        for (var mark = First; mark <= Last; mark++)
        {
            if (!used.Contains(mark))
                return new TokenGuard(mark, guardText, searchedTexts);
        }

        throw EngineException.InvalidRequest(
            "messages", "the chat contains every one of the noncharacters U+FDD0 to U+FDEF; at most 31 of them are allowed");
    }

    private static void Visit(object? value, Action<string> visit)
    {
        switch (value)
        {
            case string text:
                visit(text);
                break;
            case List<object?> list:
                list.ForEach(item => Visit(item, visit));
                break;
            case PyDict dict:
                foreach (var (key, item) in dict.Items)
                {
                    Visit(key, visit);
                    Visit(item, visit);
                }

                break;
        }
    }

    /// <summary>Copies <paramref name="value"/> with the mark in all of its strings.</summary>
    public object? Apply(object? value, bool isAssistant)
    {
        switch (value)
        {
            case string text:
                return Text(text, isAssistant);
            case List<object?> list:
                return Parts(list, isAssistant) ?? list.ConvertAll(item => Apply(item, isAssistant));
            case PyDict dict:
                var copy = new PyDict();
                foreach (var (key, item) in dict.Items)
                    copy[Name(key, isAssistant)] = Member(key as string, item, isAssistant);
                return copy;
            default:
                return value;
        }
    }

    // Only an assistant's text and thoughts may contain the tags at which the template cuts. Arguments of tool calls may come from anyone.
    private object? Member(string? name, object? value, bool isAssistant) => name switch
    {
        not null when ComparedNames.Contains(name) => Name(value, isAssistant),
        "tool_calls" or "function_call" => Apply(value, isAssistant: false),
        _ => Apply(value, isAssistant),
    };

    // Templates look names up, so a name is marked only if it contains a whole token, not if it could be a piece of one.
    private object? Name(object? name, bool isAssistant) =>
        name is string text && _guardText($"\n{text}\n", Mark, isAssistant).Contains(Mark) ? Text(text, isAssistant) : name;

    private string Text(string text, bool isAssistant)
    {
        if (!isAssistant)
            return _guardText(text, Mark, false);
        var result = new StringBuilder();
        var position = 0;
        while (position < text.Length)
        {
            var (at, tag) = NextTag(text, position);
            result.Append(_guardText(text[position..at], Mark, true)).Append(tag);
            position = at + tag.Length;
        }

        return result.ToString();
    }

    private (int At, string Tag) NextTag(string text, int position)
    {
        (int At, string Tag) next = (text.Length, "");
        foreach (var tag in _assistantTags)
        {
            var at = text.IndexOf(tag, position, next.At - position, StringComparison.Ordinal);
            if (at >= 0)
                next = (at, tag);
        }

        return next;
    }

    // A template may join text parts, so a token can begin in one part and end in the next.
    private List<object?>? Parts(List<object?> parts, bool isAssistant)
    {
        var texts = parts.ConvertAll(part => (part as PyDict)?.Get("text") as string ?? part as string);
        if (texts.Count(text => text is not null) < 2)
            return null;
        var marks = MarkPositions(string.Concat(texts), isAssistant);
        var result = new List<object?>(parts.Count);
        var offset = 0;
        foreach (var (part, text) in parts.Zip(texts))
        {
            if (text is null)
            {
                result.Add(Apply(part, isAssistant));
                continue;
            }

            var own = MarkPositions(text, isAssistant);
            var start = offset;
            own.UnionWith(marks.Where(mark => mark >= start && mark < start + text.Length).Select(mark => mark - start));
            offset += text.Length;
            var guarded = Insert(text, own);
            if (part is string)
            {
                result.Add(guarded);
                continue;
            }

            var copy = (PyDict)Apply(part, isAssistant)!;
            copy["text"] = guarded;
            result.Add(copy);
        }

        return result;
    }

    private SortedSet<int> MarkPositions(string text, bool isAssistant)
    {
        var marks = new SortedSet<int>();
        var guarded = Text(text, isAssistant);
        for (int i = 0, position = 0; i < guarded.Length; i++)
        {
            if (guarded[i] == Mark)
                marks.Add(position);
            else
                position++;
        }

        return marks;
    }

    private string Insert(string text, SortedSet<int> marks)
    {
        var result = new StringBuilder(text.Length + marks.Count);
        var position = 0;
        foreach (var mark in marks)
        {
            result.Append(text, position, mark - position).Append(Mark);
            position = mark;
        }

        return result.Append(text, position, text.Length - position).ToString();
    }
}
