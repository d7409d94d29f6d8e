using System.Collections.Concurrent;

namespace LocalLlm.Tool.JsonLines;

/// <summary>Names of members that mean nothing to a command: it tells them once, at its end, and not without end.</summary>
internal sealed class UnreadNames
{
    private const int MaxNames = 20;
    private readonly ConcurrentDictionary<string, bool> _names = new(StringComparer.Ordinal);

    /// <summary>Those of one line.</summary>
    public void Add(IEnumerable<string> names)
    {
        foreach (var name in names.Where(_ => _names.Count < MaxNames))
            _names.TryAdd(name, true);
    }

    /// <summary>Tells them, if there are any.</summary>
    public Task TellAsync(TextWriter writer) => _names.IsEmpty ? Task.CompletedTask : writer.WriteLineAsync("note: fields that mean nothing here were not read: " + string.Join(", ", _names.Keys.Order(StringComparer.Ordinal)));
}
