using System.CommandLine;
using LocalLlm.Samples.Rag.Ingest;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag ingest</c>: brings the store up to date and reports what it did.</summary>
internal static class IngestCommand
{
    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var command = new Command("ingest", "Brings the store to what the documents folder holds. Other commands do so too, before they search.");
        command.SetAction(async (result, cancellationToken) =>
        {
            using var host = await RagHost.StartAsync(common.Configuration(result), withChatModel: true, cancellationToken);
            var report = await host.Services.GetRequiredService<Ingestion>().RunAsync(new IngestLines(terminal.Output), cancellationToken);
            await IngestLines.WriteTotalAsync(terminal.Output, report);
            return report.Failed.Count == 0 ? 0 : 1;
        });
        return command;
    }
}
