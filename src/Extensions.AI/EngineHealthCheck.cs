using System.Globalization;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace LocalLlm.Extensions.AI;

/// <summary>Healthy: the engine is loaded and takes requests. The data has what it does at the moment.</summary>
internal sealed class EngineHealthCheck(EngineHost host) : IHealthCheck
{
    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(Check(context.Registration.FailureStatus));

    private HealthCheckResult Check(HealthStatus failure)
    {
        if (host.Failure is { } reason)
            return new(failure, "The model could not be loaded: " + reason.Message);
        if (host.Loaded is not { } engine)
        {
            var progress = host.Progress;
            var share = progress.BytesTotal > 0 ? string.Create(CultureInfo.InvariantCulture, $", {100.0 * progress.BytesDone / progress.BytesTotal:F0} %") : "";
            return new(failure, $"The model is not loaded yet: {progress.Phase}{share}.");
        }

        var statistics = engine.Statistics;
        var data = new Dictionary<string, object>
        {
            ["running"] = statistics.Running,
            ["waiting"] = statistics.Waiting,
            ["kv_cache_usage"] = statistics.KvCacheUsage,
            ["generated_tokens"] = statistics.GeneratedTokens,
        };
        return engine.IsAlive
            ? HealthCheckResult.Healthy($"{engine.ModelName} runs {statistics.Running} and holds {statistics.Waiting} requests.", data)
            : new(failure, $"{engine.ModelName} takes no more requests.", null, data);
    }
}
