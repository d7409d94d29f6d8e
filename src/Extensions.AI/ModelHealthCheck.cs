using System.Globalization;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace LocalLlm.Extensions.AI;

/// <summary>Healthy if the engine is loaded and accepts requests. The result's data says what the engine is doing.</summary>
internal sealed class ModelHealthCheck(ILoadedModel host) : IHealthCheck
{
    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(Check(context.Registration.FailureStatus));

    private HealthCheckResult Check(HealthStatus failure)
    {
        if (host.Failure is { } reason)
            return new(failure, "The model could not be loaded: " + (reason is EngineException ? reason.Message : "the exception says why."), reason);
        if (host.Activity is not { } activity)
        {
            var progress = host.Progress;
            var share = progress.BytesTotal > 0 ? string.Create(CultureInfo.InvariantCulture, $", {100.0 * progress.BytesDone / progress.BytesTotal:F0} %") : "";
            return new(failure, $"The model is not loaded yet: {progress.Phase}{share}.");
        }

        return host.IsAlive
            ? HealthCheckResult.Healthy($"{host.ModelId} {activity.Text}.", activity.Data)
            : new(failure, $"{host.ModelId} takes no more requests.", null, activity.Data);
    }
}
