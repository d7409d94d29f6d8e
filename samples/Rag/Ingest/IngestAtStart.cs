using Microsoft.Extensions.Hosting;

namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>Brings the store up to date before a host answers anything.</summary>
internal sealed class IngestAtStart(Ingestion ingestion, TextWriter log) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken) => await IngestLines.WriteTotalAsync(log, await ingestion.RunAsync(new IngestLines(log), cancellationToken));

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
