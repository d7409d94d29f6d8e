using System.Collections.Concurrent;
using LocalLlm.Requests;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Server.OpenAI;

/// <summary>Logs unknown request fields for the operator: each name once, and only a limited number of names.</summary>
internal sealed partial class UnknownFields(ILogger<UnknownFields> logger)
{
    private const int MaxNames = 256;
    private readonly ConcurrentDictionary<string, bool> _told = new(StringComparer.Ordinal);

    /// <summary>Reports the unknown fields of one request.</summary>
    public void Report(IReadOnlyList<string> names)
    {
        foreach (var name in names)
        {
            if (_told.Count < MaxNames && _told.TryAdd(RequestErrors.Printable(name), true))
                LogIgnored(RequestErrors.Printable(name));
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "Ignoring the unknown request field '{Field}'.")]
    private partial void LogIgnored(string field);
}
