using Microsoft.Extensions.Hosting;

namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>Brings the store up to date before a host answers anything.</summary>
internal sealed class IngestAtStart(FreshDocuments documents) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => documents.EnsureAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
