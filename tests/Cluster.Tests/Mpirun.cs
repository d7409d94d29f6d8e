using System.Diagnostics;
using Xunit;

namespace LocalLlm.Cluster.Tests;

/// <summary>Starts the test host as processes of one mpirun; skips the test if mpirun is missing.</summary>
internal static class Mpirun
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public static bool IsThere { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, "mpirun")));

    /// <summary>The mpirun command with the options that tests need: more ranks than cores, and running as root.</summary>
    public static string[] Line(int ranks, IReadOnlyList<string> options)
    {
        Assert.SkipUnless(IsThere, "Open MPI is not installed (apt-get install openmpi-bin)");
        string[] asRoot = Environment.IsPrivilegedProcess ? ["--allow-run-as-root"] : [];
        return ["mpirun", "-np", $"{ranks}", .. asRoot, "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1", .. options];
    }

    public static async Task<(int ExitCode, string Output)> RunAsync(int ranks, IReadOnlyList<string> options, params string[] arguments)
    {
        string[] line = [.. Line(ranks, options), "dotnet", Path.Combine(AppContext.BaseDirectory, "LocalLlm.ExecutorHost.dll"), .. arguments];
        using var process = Process.Start(new ProcessStartInfo(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }

        return (process.ExitCode, await output + await errors);
    }
}
