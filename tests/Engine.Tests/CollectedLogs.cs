using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Tests;

/// <summary>A logger factory that keeps the texts of warnings and of notices.</summary>
internal sealed class CollectedLogs : ILoggerFactory, ILogger
{
    private readonly ConcurrentQueue<string> _warnings = new();

    private readonly ConcurrentQueue<string> _notices = new();

    public List<string> Warnings => [.. _warnings];

    public List<string> Notices => [.. _notices];

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel == LogLevel.Warning)
            _warnings.Enqueue(formatter(state, exception));
        if (logLevel == LogLevel.Information)
            _notices.Enqueue(formatter(state, exception));
    }
}
