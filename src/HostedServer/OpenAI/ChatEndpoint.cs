using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Server.Http;
using Microsoft.AspNetCore.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, StreamPacer pacer, TimeProvider time)
{
    private readonly IReadOnlyDictionary<string, JsonElement> _defaultKwargs = TemplateVariables.Parse(options.DefaultChatTemplateKwargs);

    /// <summary>Handles one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var engine = served.Require();
        ChatRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = ChatRequest.Read(body.RootElement, engine.Options.MaxLogprobs, _defaultKwargs);
        served.CheckGenerator(request.Model);
        unknown.Report(request.Unknown);
        var sampling = ThinkingSetting.Limit(request.Generation.Sampling, request.EffortBudget, engine.CanEndThoughts);
        request = request with { Generation = request.Generation with { Sampling = sampling } };
        if (options.ForceIncludeUsage)
            request = request with { Stream = request.Stream with { IncludeUsage = true } };
        if (!request.Stream.IsStream)
            SamplingLimits.CheckWhole(sampling, engine.MaxModelLen);
        using var permit = admission.Enter(sampling.N, served.MaxSequences);
        var responses = new ChatResponses(engine, request, $"chatcmpl-{ApiPipeline.RequestId(context, request.RequestId)}", time.GetUtcNow().ToUnixTimeSeconds(), options.ResponseRole);
        if (request.Stream.IsStream)
        {
            using var place = pacer.Enter();
            await EventStream.SendAsync(context, responses.StreamAsync(pacer.Pause), options.StallTimeout, time, admission.Aborted);
            return;
        }

        var response = await WholeResponse.CreateAsync(context, admission, responses.CompleteAsync);
        permit.Release();
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(response, WireJson.Wire.ChatCompletion));
    }
}
