using System.Globalization;
using LocalLlm.Extensions.AI;
using LocalLlm.Sampling;

namespace LocalLlm.Server.Http;

/// <summary>The engine as requests see it: there, or not yet, or no more.</summary>
/// <param name="host">Who loads it.</param>
/// <param name="options">Further names of the model.</param>
/// <param name="admission">Closed while the server drains.</param>
/// <param name="time">The clock.</param>
internal sealed class ServedEngine(EngineHost host, LocalLlmServerOptions options, Admission admission, TimeProvider time)
{
    /// <summary>When the server was made, in seconds since 1970: as old as its model is to clients.</summary>
    public long Created { get; } = time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>The names that requests may use; the first is the one that answers carry.</summary>
    public IReadOnlyList<string> Names { get; } = [.. options.ModelAliases.Prepend(host.ModelId).Distinct(StringComparer.Ordinal)];

    /// <summary>The engine if it can be asked, or null.</summary>
    public LlmEngine? Usable => host.Loaded is { IsAlive: true } engine && !admission.IsClosed ? engine : null;

    /// <summary>Whether the process is of no use any more: the model could not be loaded, or the engine has failed.</summary>
    public bool HasFailed => host.Failure is not null || host.Loaded is { HasFailed: true };

    /// <summary>The engine.</summary>
    /// <exception cref="ApiException">503: it loads (phase and percentage are told), drains, or has failed.</exception>
    public LlmEngine Require() => Usable ?? throw new ApiException(ApiError.Unavailable(Explain().Message, Explain().Code));

    /// <summary>Why <see cref="Usable"/> is null.</summary>
    public (string Code, string Message, string? Phase, double? Percent) Explain()
    {
        if (admission.IsClosed)
            return ("shutting_down", "The server is shutting down and takes no more requests.", null, null);
        if (host.Failure is not null)
            return ("load_failed", "The model could not be loaded; the server's log says why.", null, null);
        if (host.Loaded is not null)
            return ("engine_dead", "The engine has failed; the server must be restarted.", null, null);
        var progress = host.Progress;
        double? percent = progress.BytesTotal > 0 ? Math.Round(100.0 * progress.BytesDone / progress.BytesTotal, 1) : null;
        var share = percent is { } known ? string.Create(CultureInfo.InvariantCulture, $", {known:F1} %") : "";
        return ("model_loading", $"The model is not loaded yet: {progress.Phase}{share}. Try again later.", progress.Phase, percent);
    }

    /// <exception cref="ApiException">404: the model is not served.</exception>
    public void CheckModel(string? asked)
    {
        if (!string.IsNullOrEmpty(asked) && !Names.Contains(asked, StringComparer.Ordinal))
            throw new ApiException(new(404, "invalid_request_error", $"The model '{RequestErrors.Printable(asked)}' is not served; served: {string.Join(", ", Names)}.", "model", "model_not_found"));
    }

    /// <summary>Most sequences that may run or wait.</summary>
    public int MostSequences(LlmEngine engine) =>
        Math.Min(engine.Options.MaxNumSeqs ?? EngineOptionsDefaults.MaxNumSeqs, engine.Options.MaxNumBatchedTokens ?? EngineOptionsDefaults.MaxNumBatchedTokens) + options.MaxQueuedSequences;
}
