using System.Collections.Concurrent;
using System.Globalization;
using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>
/// Makes sure that every system text of a chat reaches the model. A template that writes all of a chat's system messages gets them
/// unchanged. For any other template (R1's keeps only the last one, Llama's and Qwen's look only at the first, some refuse a later one),
/// the texts are joined into one system message at the front, in their order, with an empty line between two. If a template ignores system
/// messages altogether, that text goes in front of the first user message. If it refuses them, the request is refused, unless the engine
/// itself wrote the system text. A message of another role that the template ignores, such as a tool's result if it does not support tools,
/// is refused; the error names the role. To find out what a template does, the chat is rendered with marks in place of the texts.
/// </summary>
internal sealed class MessageReach
{
    private const string Separator = "\n\n";
    private const string Mark = "localllm-mark-";
    private static readonly HashSet<string> UsualRoles = ["system", "developer", "user", "assistant", "tool"];

    // The outcome for a first system message, with and without tools.
    private readonly ConcurrentDictionary<bool, Outcome> _first = new();

    // Set once a prompt has contained tool results, so that not every step of an agent is rendered twice.
    private bool _writesResults;

    private enum Outcome
    {
        /// <summary>Every text is in the prompt.</summary>
        Written,

        /// <summary>The template ignores a text.</summary>
        Dropped,

        /// <summary>The template raises an error.</summary>
        Failed,
    }

    /// <summary>Arranges the messages so that the template can write them; the list and its messages are not changed.</summary>
    /// <param name="messages">Prepared messages.</param>
    /// <param name="hasTools">Whether the chat has tools.</param>
    /// <param name="isEngineText">Whether the only system text is the engine's own.</param>
    /// <param name="render">Renders messages together with the rest of the chat.</param>
    /// <exception cref="EngineException">The template would ignore a message of an unusual role.</exception>
    public List<object?> Arrange(List<object?> messages, bool hasTools, bool isEngineText, Func<List<object?>, string> render)
    {
        var arranged = ArrangeSystem(messages, hasTools, isEngineText, render);
        RefuseDropped(arranged, message => !UsualRoles.Contains(RoleOf(message)), render);
        // Templates may leave out old results; the last one shows whether the template supports them.
        if (!_writesResults && arranged.FindLast(message => RoleOf(message) == "tool" && HasText(message)) is { } last)
            _writesResults = RefuseDropped(arranged, message => ReferenceEquals(message, last), render) == Outcome.Written;
        return arranged;
    }

    private static Outcome RefuseDropped(List<object?> messages, Predicate<object?> which, Func<List<object?>, string> render)
    {
        if (messages.Find(which) is not { } first)
            return Outcome.Written;
        var outcome = Try(messages, which, render);
        if (outcome == Outcome.Dropped)
        {
            throw EngineException.InvalidRequest(
                "messages",
                $"messages: a message has the role '{Requests.RequestErrors.Printable(RoleOf(first))}', of which the chat template of this model "
                + $"writes nothing; use another of {string.Join(", ", UsualRoles)}, or another chat template");
        }

        return outcome;
    }

    private List<object?> ArrangeSystem(List<object?> messages, bool hasTools, bool isEngineText, Func<List<object?>, string> render)
    {
        var count = messages.Count(SystemText.IsSystem);
        // A message without text has nothing to lose, and shows nothing about the template.
        if (!messages.Exists(message => SystemText.IsSystem(message) && HasText(message)))
            return messages;
        var isFirstOnly = count == 1 && SystemText.IsSystem(messages[0]);
        if (!isFirstOnly)
        {
            if (Try(messages, SystemText.IsSystem, render) == Outcome.Written)
                return messages;
            messages = [Joined(messages.FindAll(SystemText.IsSystem)), .. messages.FindAll(message => !SystemText.IsSystem(message))];
        }

        var outcome = isFirstOnly
            ? _first.GetOrAdd(hasTools, _ => Try([messages[0], AsUser((PyDict)messages[0]!)], SystemText.IsSystem, render))
            : Try(messages, SystemText.IsSystem, render);
        return outcome == Outcome.Dropped || (isEngineText && outcome == Outcome.Failed) ? InFirstUserMessage(messages) : messages;
    }

    // Renders the chat to see whether the prompt contains every text of the chosen messages.
    private static Outcome Try(List<object?> messages, Predicate<object?> which, Func<List<object?>, string> render)
    {
        var marks = new List<string>();
        var marked = messages.ConvertAll(message => which(message) ? Marked((PyDict)message!, marks) : message);
        try
        {
            var prompt = render(marked);
            return marks.TrueForAll(mark => prompt.Contains(mark, StringComparison.Ordinal)) ? Outcome.Written : Outcome.Dropped;
        }
        catch (EngineException e) when (e.InnerException is TemplateException)
        {
            return Outcome.Failed;
        }
    }

    private static PyDict Marked(PyDict message, List<string> marks)
    {
        if (!HasText(message))
            return message;
        var mark = string.Create(CultureInfo.InvariantCulture, $"{Mark}{marks.Count}-");
        marks.Add(mark);
        return With(message, message.Get("content") is string ? mark : new List<object?> { TextPart(mark) });
    }

    private static PyDict Joined(List<object?> systems)
    {
        var first = (PyDict)systems[0]!;
        return systems.Skip(1).Aggregate(first, (all, next) => With(all, Join(all.Get("content"), ((PyDict)next!).Get("content"))));
    }

    private static List<object?> InFirstUserMessage(List<object?> messages)
    {
        var text = ((PyDict)messages[0]!).Get("content");
        var rest = messages.Skip(1).ToList();
        var user = rest.FindIndex(message => RoleOf(message) == "user");
        if (user < 0)
            rest.Insert(0, new PyDict { ["role"] = "user", ["content"] = text });
        else
            rest[user] = With((PyDict)rest[user]!, Join(text, ((PyDict)rest[user]!).Get("content")));
        return rest;
    }

    // Two strings give a string; otherwise both become lists of parts.
    private static object? Join(object? first, object? second)
    {
        if (string.IsNullOrEmpty(first as string) && first is null or string)
            return second;
        if (string.IsNullOrEmpty(second as string) && second is null or string)
            return first;
        return first is string text && second is string more
            ? text + Separator + more
            : new List<object?>([.. Parts(first), TextPart(Separator), .. Parts(second)]);
    }

    private static List<object?> Parts(object? content) => content as List<object?> ?? [TextPart((string)content!)];

    private static bool HasText(object? message) => (message as PyDict)?.Get("content") switch
    {
        string text => !string.IsNullOrWhiteSpace(text),
        List<object?> parts => parts.Exists(part => !string.IsNullOrWhiteSpace((part as PyDict)?.Get("text") as string)),
        _ => false,
    };

    private static PyDict AsUser(PyDict message) => new() { ["role"] = "user", ["content"] = message.Get("content") };

    private static PyDict TextPart(string text) => new() { ["type"] = "text", ["text"] = text };

    private static PyDict With(PyDict message, object? content)
    {
        var copy = message.Copy();
        copy["content"] = content;
        return copy;
    }

    private static string RoleOf(object? message) => (message as PyDict)?.Get("role") as string ?? "";
}
