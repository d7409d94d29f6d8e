using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary>Starts the services of a command: options are checked and models loaded before anything else happens.</summary>
internal static class RagHost
{
    public static Task<IHost> StartAsync(IConfigurationRoot configuration, bool withChatModel, CancellationToken cancellationToken) =>
        StartAsync(configuration, withChatModel, TextWriter.Null, cancellationToken);

    /// <param name="configuration">All settings.</param>
    /// <param name="withChatModel">Whether a chat model is loaded.</param>
    /// <param name="log">Receives the report of what is ingested.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public static async Task<IHost> StartAsync(IConfigurationRoot configuration, bool withChatModel, TextWriter log, CancellationToken cancellationToken)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new());
        builder.Services.AddRag(configuration, withChatModel, log);
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

    /// <summary>Starts the services of a command that answers, and brings the store up to date; it reports what it did on standard
    /// error.</summary>
    public static async Task<IHost> StartAnsweringAsync(IConfigurationRoot configuration, RagTerminal terminal, CancellationToken cancellationToken)
    {
        var host = await StartAsync(configuration, withChatModel: true, terminal.Error, cancellationToken);
        try
        {
            await host.Services.GetRequiredService<FreshDocuments>().EnsureAsync(cancellationToken);
            return host;
        }
        catch
        {
            host.Dispose();
            throw;
        }
    }
}
