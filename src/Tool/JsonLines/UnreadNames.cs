using System.Collections.Concurrent;

namespace LocalLlm.Tool.JsonLines;

/// <summary>Collects the names of members that a command ignores. It reports each name once, at the end, and limits their number.</summary>
internal sealed class UnreadNames
{
    private const int MaxNames = 20;
    private readonly ConcurrentDictionary<string, bool> _names = new(StringComparer.Ordinal);

    /// <summary>Adds the names of one line.</summary>
    public void Add(IEnumerable<string> names)
    {
        foreach (var name in names.Where(_ => _names.Count < MaxNames))
            _names.TryAdd(name, true);
    }

    /// <summary>Reports the names, if there are any.</summary>
    public Task TellAsync(TextWriter writer) => _names.IsEmpty ? Task.CompletedTask : writer.WriteLineAsync("note: ignored unknown fields: " + string.Join(", ", _names.Keys.Order(StringComparer.Ordinal)));
}
