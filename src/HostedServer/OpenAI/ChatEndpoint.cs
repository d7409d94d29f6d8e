using System.Text.Json;
using LocalLlm.Extensions.AI;
using LocalLlm.Server.Http;
using LocalLlm.Templating;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Server.OpenAI;

/// <summary><c>POST /v1/chat/completions</c>.</summary>
internal sealed class ChatEndpoint(ServedEngine served, Admission admission, LocalLlmServerOptions options, UnknownFields unknown, StreamPacer pacer, TimeProvider time)
{
    private readonly IReadOnlyDictionary<string, JsonElement> _defaultKwargs = TemplateVariables.Parse(options.DefaultChatTemplateKwargs);

    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var engine = served.Require();
        ChatRequest request;
        using (var body = await JsonBody.ReadAsync(context, options, time))
            request = ChatRequest.Read(body.RootElement, engine.Options.MaxLogprobs, _defaultKwargs);
        served.CheckGenerator(request.Model);
        unknown.Report(request.Unknown);
        ToolCallArguments.LogMalformed(request.Generation.Chat!.Messages, engine.Options.LoggerFactory?.CreateLogger<ChatEndpoint>());
        var sampling = ThinkingSetting.Limit(request.Generation.Sampling, request.EffortBudget, engine);
        request = request with { Generation = request.Generation with { Sampling = sampling } };
        if (options.ForceIncludeUsage)
            request = request with { Stream = request.Stream with { IncludeUsage = true } };
        if (!request.Stream.IsStream)
            SamplingLimits.CheckWhole(sampling, engine.MaxModelLen);
        using var permit = admission.Enter(sampling.N, served.MostSequences);
        var answers = new ChatAnswers(engine, request, $"chatcmpl-{ApiPipeline.RequestId(context, request.RequestId)}", time.GetUtcNow().ToUnixTimeSeconds(), options.ResponseRole);
        if (request.Stream.IsStream)
        {
            using var place = pacer.Enter();
            await EventStream.SendAsync(context, answers.StreamAsync(pacer.Pause), options.StallTimeout, time, admission.Aborted);
            return;
        }

        var answer = await Answers.WholeAsync(context, admission, answers.CompleteAsync);
        permit.GiveBack();
        await ApiPipeline.WriteJsonAsync(context, EventStream.Json(answer, WireJson.Wire.ChatCompletion));
    }
}
