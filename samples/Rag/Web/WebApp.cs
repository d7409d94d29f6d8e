using System.Net;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Samples.Rag.Web;

/// <summary>The page and the two routes that it uses.</summary>
internal static class WebApp
{
    /// <param name="configuration">All settings.</param>
    /// <param name="address">Where to listen.</param>
    /// <param name="port">0: any free port.</param>
    /// <param name="log">Receives the report of what was ingested.</param>
    public static WebApplication Create(IConfiguration configuration, IPAddress address, int port, TextWriter log)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.Services.AddRag(configuration, log: log);
        // Started in this order: models, documents, then the server.
        builder.Services.AddHostedService<IngestAtStart>();
        builder.Services.AddSingleton<AskGate>().AddRoutingCore();
        // A failure at the start is reported only once, by the program.
        builder.Logging.AddSimpleConsole().SetMinimumLevel(LogLevel.Warning).AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(address, port));
        var app = builder.Build();
        app.UseSiteGuard(address);
        app.UseRouting();
        app.MapPage();
        app.MapAsk();
        app.MapGet("/api/status", StatusAsync);
        return app;
    }

    private static async Task<IResult> StatusAsync(IPassageStore store, TextEmbedder embedder, IChatClient client, CancellationToken cancellationToken)
    {
        var documents = await store.GetDocumentsAsync(cancellationToken);
        return Results.Json(new
        {
            model = client.GetService<ChatClientMetadata>()?.DefaultModelId,
            embeddingModel = embedder.Engine.ModelName,
            documents = documents.Select(document => new { document.Name, document.Passages, document.Questions }),
        });
    }
}
