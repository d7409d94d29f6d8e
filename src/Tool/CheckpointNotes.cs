using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Tool;

/// <summary>
/// Collects the warnings about a checkpoint for commands that have no log. They are written as notes once no progress bar is
/// drawn any more. Everything else that the engine logs is dropped.
/// </summary>
internal sealed class CheckpointNotes : ILoggerFactory, ILogger
{
    private const string Category = nameof(LocalLlm) + "." + nameof(Weights) + ".";

    private readonly ConcurrentQueue<string> _notes = new();

    /// <summary>Writes the collected warnings, one per line.</summary>
    public async Task WriteAsync(TextWriter writer)
    {
        while (_notes.TryDequeue(out var note))
            await writer.WriteLineAsync("note: " + note);
    }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => categoryName.StartsWith(Category, StringComparison.Ordinal) ? this : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

    /// <inheritdoc/>
    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
            _notes.Enqueue(formatter(state, exception));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
