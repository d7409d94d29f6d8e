using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary>Starts the services of a command: options are checked and models loaded before anything else happens.</summary>
internal static class RagHost
{
    public static async Task<IHost> StartAsync(IConfigurationRoot configuration, bool withChatModel, CancellationToken cancellationToken)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new());
        builder.Services.AddRag(configuration, withChatModel);
        var host = builder.Build();
        try
        {
            await host.StartAsync(cancellationToken);
            return host;
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }

    /// <summary>Brings the store up to date, and tells what was done on standard error.</summary>
    public static async Task IngestAsync(IServiceProvider services, RagTerminal terminal, CancellationToken cancellationToken)
    {
        var report = await services.GetRequiredService<Ingestion>().RunAsync(new IngestLines(terminal.Error), cancellationToken);
        await IngestLines.WriteTotalAsync(terminal.Error, report);
    }
}
