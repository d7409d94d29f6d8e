using LocalLlm.Server.Metrics;
using LocalLlm.Server.OpenAI;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.Http;

/// <summary>
/// Endpoints for operators and their tools: <c>/health</c>, <c>/ready</c>, <c>/metrics</c>, <c>/version</c>, <c>/engine</c>.
/// </summary>
internal sealed class OperationsEndpoints(ServedEngine served, Readiness readiness, EngineInstruments instruments, Admission admission)
{
    private const int KvCells = 1024;
    private static readonly TimeSpan MapTimeout = TimeSpan.FromSeconds(2);

    /// <summary>200 while the process loads, serves or drains. 503 once only a restart helps.</summary>
    public Task HealthAsync(HttpContext context)
    {
        if (served.HasFailed)
            return ApiPipeline.WriteAsync(context, ApiError.Unavailable(served.Explain().Message, served.Explain().Code));
        context.Response.ContentLength = 0;
        return Task.CompletedTask;
    }

    /// <summary>200 if requests are served now: the engine has computed a real token or embedding recently.</summary>
    public async Task ReadyAsync(HttpContext context)
    {
        if (CanAnswer() && await readiness.CheckAsync(served.ProgressProbe, context.RequestAborted))
        {
            await ApiPipeline.WriteJsonAsync(context, EventStream.Json(new("ready"), WireJson.Wire.ReadyResult));
            return;
        }

        var (code, _, phase, percent) = !CanAnswer() ? served.Explain() : (served.IsEncoder ? "no_embedding" : "no_token", "", null, null);
        context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        context.Response.Headers.RetryAfter = "1";
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(new(code, phase, percent), WireJson.Wire.ReadyResult));
    }

    // A dead engine ends the process, so requests for any model should stop coming.
    private bool CanAnswer() => served.IsUsable && !served.HasFailed;

    /// <summary>Prometheus's text format.</summary>
    public Task MetricsAsync(HttpContext context)
    {
        context.Response.ContentType = PrometheusText.ContentType;
        return context.Response.WriteAsync(PrometheusText.Write(instruments.Read()), context.RequestAborted);
    }

    /// <summary>The number of requests being served, in vLLM's format.</summary>
    public Task LoadAsync(HttpContext context) => ApiPipeline.WriteJsonAsync(context, EventStream.Json(new(admission.Requests), WireJson.Wire.LoadResult));

    /// <summary>The version.</summary>
    public static Task VersionAsync(HttpContext context) => ApiPipeline.WriteJsonAsync(context, EventStream.Json(new(ServerVersion.Text), WireJson.Wire.VersionResult));

    /// <summary>What the engine is doing now, with a map of its KV blocks.</summary>
    public async Task EngineAsync(HttpContext context)
    {
        var engine = served.Require();
        var map = engine.MapKvBlocksAsync(KvCells);
        // A long step must not hold up the rest of the response.
        var blocks = await Task.WhenAny(map, Task.Delay(MapTimeout, context.RequestAborted)) == map ? await map : "";
        var now = engine.Statistics;
        var view = new EngineView(
            served.Names[0], engine.MaxModelLen, now.Running, now.Waiting, now.KvCacheUsage, now.KvBlocksTotal, now.KvBlocksFree, now.Preemptions, now.PrefixCacheQueries, now.PrefixCacheHits, now.GeneratedTokens, blocks);
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(view, WireJson.Wire.EngineView));
    }
}
