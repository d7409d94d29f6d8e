using Microsoft.Extensions.Logging;

namespace LocalLlm;

/// <summary>
/// A logger that swallows the failures of its provider. The engine logs on the threads that serve all requests, and a failing provider
/// (one disposed before the engine, for example) must not end them.
/// </summary>
/// <param name="inner">Receives the log entries.</param>
internal sealed class GuardedLogger(ILogger inner) : ILogger
{
    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => inner.BeginScope(state);

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel)
    {
        try
        {
            return inner.IsEnabled(logLevel);
        }
        catch (Exception)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        try
        {
            inner.Log(logLevel, eventId, state, exception, formatter);
        }
        catch (Exception)
        {
            // The failure of a logger cannot be logged.
        }
    }
}
