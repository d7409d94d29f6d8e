using LocalLlm.Samples.Rag.Commands;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Tests.Weights;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests;

/// <summary>The sample as it is shipped, both models loaded and the shipped documents ingested: once for all tests.</summary>
public sealed class ShippedRag : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new();
    private IHost? _host;

    internal IServiceProvider Services => _host!.Services;

    internal IngestReport Report { get; private set; } = null!;

    /// <summary>The file of a store that already has the shipped documents.</summary>
    internal string StorePath => _folder["shipped.db"];

    public async ValueTask InitializeAsync()
    {
        _host = await RagHost.StartAsync(RagConfiguration.Build(new Dictionary<string, string?> { ["Rag:Store:Path"] = StorePath }), withChatModel: true, CancellationToken.None);
        Report = await Services.GetRequiredService<Ingestion>().RunAsync(null, CancellationToken.None);
    }

    public ValueTask DisposeAsync()
    {
        _host?.Dispose();
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }

    internal T Get<T>()
        where T : notnull => Services.GetRequiredService<T>();

    /// <summary>Creates a service with changed settings over the same models.</summary>
    internal T With<T>(Action<RagOptions> change, params object[] others)
        where T : class
    {
        var options = new RagOptions();
        Microsoft.Extensions.Configuration.ConfigurationBinder.Bind(Get<Microsoft.Extensions.Configuration.IConfiguration>().GetSection(RagOptions.SectionName), options);
        change(options);
        return ActivatorUtilities.CreateInstance<T>(Services, [Microsoft.Extensions.Options.Options.Create(options), .. others]);
    }
}
