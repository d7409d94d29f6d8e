using LocalLlm.Extensions.AI;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Server.Http;

/// <summary>Stops the application when its engine cannot serve any more; the process's supervisor can then restart it.</summary>
internal sealed partial class EngineWatch(ServedEngine served, LocalLlmServerOptions options, IHostApplicationLifetime lifetime, ILogger<EngineWatch> logger) : BackgroundService
{
    /// <summary>Why the application was stopped, or null.</summary>
    public Exception? Failure { get; private set; }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Task<Exception?>[] ends = served.SecondModel is { } second ? [FirstAsync(stoppingToken), WaitForSecondAsync(second, stoppingToken)] : [FirstAsync(stoppingToken)];
        try
        {
            await foreach (var ended in Task.WhenEach(ends).WithCancellation(stoppingToken))
            {
                if (await ended is not { } failure)
                    continue;
                await StopAsync(failure, stoppingToken);
                return;
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host has stopped or was disposed: nothing has failed.
        }
    }

    private async Task<Exception?> FirstAsync(CancellationToken cancellationToken)
    {
        try
        {
            await served.First.WaitForEndAsync(cancellationToken);
            return served.First.HasFailed ? new EngineException(EngineErrorKind.EngineDead, "the engine has failed; restart the server") : null;
        }
        catch (Exception failure)
        {
            return IsEnd(failure, cancellationToken) ? null : failure;
        }
    }

    // If the second model could not be loaded, the server still generates without it. If its device has failed, that may have affected the
    // first engine too.
    private async Task<Exception?> WaitForSecondAsync(IModelHost host, CancellationToken cancellationToken)
    {
        try
        {
            await host.WaitForEndAsync(cancellationToken);
            return host.HasFailed ? new EngineException(EngineErrorKind.EngineDead, $"the engine of the embedding model {host.ModelId} has failed; restart the server") : null;
        }
        catch (Exception failure)
        {
            if (!IsEnd(failure, cancellationToken))
                LogEmbedderFailed(failure is EngineException ? null : failure, host.ModelId, failure.Message);
            return null;
        }
    }

    private static bool IsEnd(Exception failure, CancellationToken cancellationToken) => failure is ObjectDisposedException || (failure is OperationCanceledException && cancellationToken.IsCancellationRequested);

    private async Task StopAsync(Exception failure, CancellationToken cancellationToken)
    {
        Failure = failure;
        // The engine has already logged more for the operator; a stack trace adds nothing.
        LogFailed(Failure is EngineException ? null : Failure, Failure.Message);
        // Until then the server itself reports the failure to clients.
        if (failure is EngineException { Kind: EngineErrorKind.EngineDead })
            await Task.Delay(options.AnswersAfterFailure, cancellationToken);
        lifetime.StopApplication();
    }

    [LoggerMessage(2, LogLevel.Error, "The server runs without the embedding model {Model}: {Message}")]
    private partial void LogEmbedderFailed(Exception? failure, string model, string message);

    [LoggerMessage(1, LogLevel.Critical, "The server stops: {Message}")]
    private partial void LogFailed(Exception? failure, string message);
}
