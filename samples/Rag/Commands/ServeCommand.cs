using System.CommandLine;
using System.Net;
using LocalLlm.Samples.Rag.Web;
using Microsoft.Extensions.Hosting;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary><c>rag serve</c>: the web page.</summary>
internal static class ServeCommand
{
    public static Command Create(CommonOptions common, RagTerminal terminal)
    {
        var host = new Option<string>("--host")
        {
            Description = "The address to listen on. There is no access control: anyone who can connect can ask.", HelpName = "ADDRESS",
            DefaultValueFactory = _ => "127.0.0.1",
        };
        host.Validators.Add(result =>
        {
            if (AddressOf(result.GetValueOrDefault<string>()) is null)
                result.AddError($"--host is '{result.GetValueOrDefault<string>()}'; allowed: an IP address of this machine, 0.0.0.0 for all, or localhost");
        });
        var port = new Option<int>("--port") { Description = "The port; 0: any that is free.", HelpName = "PORT", DefaultValueFactory = _ => 8080 };
        port.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > 65535)
                result.AddError($"--port is {result.GetValueOrDefault<int>()}; allowed: 0 to 65535");
        });
        var command = new Command("serve", "Serves a web page that answers questions.") { host, port };
        command.SetAction(async (result, cancellationToken) =>
        {
            await using var app = WebApp.Create(common.Configuration(result), AddressOf(result.GetValue(host))!, result.GetValue(port), terminal.Error);
            await app.StartAsync(cancellationToken);
            await terminal.Output.WriteLineAsync($"listening on {string.Join(", ", app.Urls)}");
            await app.WaitForShutdownAsync(cancellationToken);
            return 0;
        });
        return command;
    }

    private static IPAddress? AddressOf(string? host) => host == "localhost" ? IPAddress.Loopback : IPAddress.TryParse(host, out var address) ? address : null;
}
