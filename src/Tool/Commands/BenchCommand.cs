using System.CommandLine;
using System.Text.Json;
using LocalLlm.Tool.Arguments;
using LocalLlm.Tool.Bench;

namespace LocalLlm.Tool.Commands;

/// <summary>
/// <c>localllm bench [throughput|latency|serve]</c>: vLLM's benchmarks with random prompts; without a name, throughput and latency.
/// </summary>
internal static class BenchCommand
{
    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
    };

    /// <summary>Builds the command and its subcommands.</summary>
    public static Command Create(Terminal terminal)
    {
        var command = Create(
            terminal,
            "bench",
            "Measures offline throughput and latency with random prompts; both without a subcommand.",
            Benchmarks.Throughput | Benchmarks.Latency);
        command.Add(Create(
            terminal,
            "throughput",
            "Queues many prompts at once: requests/s, tokens/s, TTFT and ITL.",
            Benchmarks.Throughput));
        command.Add(Create(
            terminal,
            "latency",
            "Runs one batch after the other: seconds per batch, TTFT and ITL.",
            Benchmarks.Latency));
        command.Add(Create(
            terminal,
            "serve",
            "Lets requests arrive at a rate, as at a server: TTFT, TPOT, ITL and end-to-end latency. In this process; no server is needed.",
            Benchmarks.Serve));
        return command;
    }

    private static Command Create(Terminal terminal, string name, string description, Benchmarks benchmarks)
    {
        var engineArguments = new EngineArguments();
        var arguments = new BenchmarkArguments();
        var command = new Command(name, description);

        // With subcommands, a positional argument would swallow a misspelt subcommand.
        var model = benchmarks == (Benchmarks.Throughput | Benchmarks.Latency) ? null : Options.Model();
        if (model is not null)
            command.Add(model);
        arguments.AddTo(command, benchmarks);
        engineArguments.AddTo(command);
        VllmOptions.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            var options = engineArguments.Build(result, model is null ? null : result.GetValue(model));
            var seed = engineArguments.Seed(result);
            if (arguments.OutputJson(result) is { } target)
                RequireWritable(target);
            var reports = new Dictionary<string, object>();
            var (throughputSettings, latencySettings, serveSettings) = (
                benchmarks.HasFlag(Benchmarks.Throughput) ? arguments.Throughput(result, seed) : null,
                benchmarks.HasFlag(Benchmarks.Latency) ? arguments.Latency(result, seed) : null,
                benchmarks.HasFlag(Benchmarks.Serve) ? arguments.Serve(result, seed) : null);

            foreach (var settings in new[] { throughputSettings, latencySettings, serveSettings }.OfType<BenchmarkSettings>())
            {
                SamplingArguments.Checked(settings.Sampling(settings.OutputLen));
                if (settings.Dataset == BenchmarkDataset.Random && settings.InputLen + (long)settings.OutputLen > options.MaxModelLen)
                    throw new UsageException($"--input-len {settings.InputLen} and --output-len {settings.OutputLen} are more than --max-model-len {options.MaxModelLen}; lower them, or raise it");
            }

            // As in vLLM's benchmarks: prefix cache hits would flatter the figures.
            await using var engine = await EngineLoading.LoadAsync(
                options with { EnablePrefixCaching = engineArguments.PrefixCaching(result) ?? false },
                terminal,
                cancellationToken);
            if (throughputSettings is not null)
            {
                var report = await new Benchmark(engine, throughputSettings, terminal.Time).ThroughputAsync(cancellationToken);
                terminal.Output.Write(BenchmarkTables.Of(report));
                reports["throughput"] = report;
            }

            if (latencySettings is not null)
            {
                var report = await new Benchmark(engine, latencySettings, terminal.Time).LatencyAsync(cancellationToken);
                terminal.Output.Write(BenchmarkTables.Of(report));
                reports["latency"] = report;
            }

            if (serveSettings is not null)
            {
                var report = await new Benchmark(engine, serveSettings, terminal.Time).ServeAsync(cancellationToken);
                terminal.Output.Write(BenchmarkTables.Of(report));
                reports["serve"] = report;
            }

            if (engine.Statistics.Speculation is { } speculation)
                terminal.Output.Write(BenchmarkTables.Of(speculation));

            if (arguments.OutputJson(result) is { } path)
                await File.WriteAllTextAsync(
                    path,
                    JsonSerializer.Serialize(reports.Count == 1 ? reports.Values.First() : reports, JsonOptions) + "\n",
                    cancellationToken);
            return ExitCodes.Success;
        });
        return command;
    }

    // Checks the file before the benchmark runs, not after it. Its content stays.
    private static void RequireWritable(string path)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder && !Directory.Exists(folder))
            throw new UsageException($"--output-json: the folder {folder} does not exist; make it first, or name a file elsewhere");
        try
        {
            var isNew = !Path.Exists(path);
            using (File.Open(path, FileMode.OpenOrCreate, FileAccess.Write))
            {
            }

            if (isNew)
                File.Delete(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--output-json: {path} cannot be written: {failure.Message}");
        }
    }
}
