using LocalLlm.Requests;
using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/completions</c>.</summary>
internal sealed class CompletionEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, StreamPacer pacer, TimeProvider time)
{
    /// <summary>Handles one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var engine = served.Require();
        CompletionRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = CompletionRequest.Read(body.RootElement);
        served.CheckGenerator(request.Model);
        unknown.Report(request.Unknown);
        request = request with { Generations = [.. request.Generations.Select(one => one with { Sampling = ThinkingSetting.Limit(one.Sampling, request.EffortBudget, engine.CanEndThoughts) })] };
        if (options.ForceIncludeUsage)
            request = request with { Stream = request.Stream with { IncludeUsage = true } };
        if (!request.Stream.IsStream)
            SamplingLimits.CheckWhole(request.Generations[0].Sampling, engine.MaxModelLen);
        using var permit = admission.Enter(request.Generations.Count * request.N, served.MaxSequences, request.Generations.Count > 1 ? "prompt" : "n");
        var responses = new CompletionResponses(engine, request, $"cmpl-{ApiPipeline.RequestId(context, request.RequestId)}", time.GetUtcNow().ToUnixTimeSeconds());
        if (request.Stream.IsStream)
        {
            using var place = pacer.Enter(request.Generations.Count);
            await EventStream.SendAsync(context, responses.StreamAsync(pacer.Pause), options.StallTimeout, time, admission.Aborted);
            return;
        }

        var response = await WholeResponse.CreateAsync(context, admission, responses.CompleteAsync);
        permit.Release();
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(response, WireJson.Wire.TextCompletion));
    }
}
