using LocalLlm.Extensions.AI;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Server.Http;

/// <summary>Stops the application where its engine cannot serve any more, so that whoever supervises the process starts it again.</summary>
internal sealed partial class EngineWatch(ServedEngine served, IHostApplicationLifetime lifetime, ILogger<EngineWatch> logger) : BackgroundService
{
    /// <summary>Why the application was stopped, or null.</summary>
    public Exception? Failure { get; private set; }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (served.Beside is { } beside)
            _ = TellAsync(beside, stoppingToken);
        try
        {
            await served.First.EndedAsync(stoppingToken);
            if (!served.First.HasFailed)
                return;
            Failure = new EngineException(EngineErrorKind.EngineDead, "the engine has failed; restart the server");
        }
        catch (Exception failure) when (failure is not OperationCanceledException and not ObjectDisposedException)
        {
            Failure = failure;
        }
        catch (Exception) when (stoppingToken.IsCancellationRequested)
        {
            return;
        }

        // The engine tells its own operator more; a stack adds nothing to what it says.
        LogFailed(Failure is EngineException ? null : Failure, Failure.Message);
        lifetime.StopApplication();
    }

    // Without it the server still generates.
    private async Task TellAsync(IModelHost host, CancellationToken cancellationToken)
    {
        try
        {
            await host.EndedAsync(cancellationToken);
            if (host.HasFailed)
                LogEmbedderFailed(null, host.ModelId, "its engine has failed");
        }
        catch (Exception failure) when (failure is not OperationCanceledException and not ObjectDisposedException)
        {
            LogEmbedderFailed(failure is EngineException ? null : failure, host.ModelId, failure.Message);
        }
        catch (Exception)
        {
            // The application ends.
        }
    }

    [LoggerMessage(2, LogLevel.Error, "The server does without the embedding model {Model}: {Message}")]
    private partial void LogEmbedderFailed(Exception? failure, string model, string message);

    [LoggerMessage(1, LogLevel.Critical, "The server stops: {Message}")]
    private partial void LogFailed(Exception? failure, string message);
}
