using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Server.Http;

/// <summary>
/// Drains the server before any part of it stops. New requests are refused; running requests may finish for a while; then the rest are
/// ended.
/// </summary>
internal sealed partial class Drain(Admission admission, LocalLlmServerOptions options, TimeProvider time, ILogger<Drain> logger) : IHostedLifecycleService
{
    // Time to report and write the end of aborted responses.
    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(1.5);

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        admission.Close();
        var idle = admission.WaitForIdleAsync();
        if (!idle.IsCompleted && options.ShutdownTimeout > TimeSpan.Zero && !admission.Aborted.IsCancellationRequested)
        {
            LogDraining(admission.Requests, options.ShutdownTimeout.TotalSeconds);
            using var hurry = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, admission.Aborted);
            await Task.WhenAny(idle, Task.Delay(options.ShutdownTimeout, time, hurry.Token));
        }

        if (!idle.IsCompleted)
        {
            LogEnding(admission.Requests);
            admission.Abort();
            await Task.WhenAny(idle, Task.Delay(LastWords, time, cancellationToken));
        }

        // Otherwise Kestrel would wait for clients that have sent half a request or not read their response.
        _ = DisconnectAsync();
    }

    private async Task DisconnectAsync()
    {
        await Task.Delay(LastWords, time);
        try
        {
            admission.Disconnect();
        }
        catch (ObjectDisposedException)
        {
            // No request was left.
        }
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(1, LogLevel.Information, "Shutting down: {Requests} requests may finish within {Seconds} s; another signal ends them.")]
    private partial void LogDraining(int requests, double seconds);

    [LoggerMessage(2, LogLevel.Warning, "Shutting down: {Requests} requests are ended.")]
    private partial void LogEnding(int requests);
}
