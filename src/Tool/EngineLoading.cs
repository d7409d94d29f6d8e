using System.Globalization;
using Spectre.Console;

namespace LocalLlm.Tool;

/// <summary>Loads an engine, with a progress bar if standard error is a terminal.</summary>
internal static class EngineLoading
{
    /// <summary>Loads an engine; the caller disposes it.</summary>
    /// <exception cref="EngineException">The options, the folder or the machine do not allow it.</exception>
    public static async Task<LlmEngine> LoadAsync(EngineOptions options, Terminal terminal, CancellationToken cancellationToken)
    {
        options = await ModelDownload.ResolveAsync(options, terminal, cancellationToken);
        using var notes = new CheckpointNotes();
        options = options with { LoggerFactory = options.LoggerFactory ?? notes };
        var started = terminal.Time.GetTimestamp();
        var engine = await LoadAsync(terminal, options, progress => LlmEngine.LoadAsync(options, progress, cancellationToken));
        await notes.WriteAsync(terminal.ErrorText);
        if (engine.Plan.Note is { } note)
            await terminal.ErrorText.WriteLineAsync("note: " + note);
        if (terminal.ShowsProgress)
        {
            var seconds = terminal.Time.GetElapsedTime(started).TotalSeconds;
            await terminal.ErrorText.WriteLineAsync(string.Create(
                CultureInfo.InvariantCulture,
                $"{engine.ModelName} ({engine.Dtype}) loaded in {seconds:F1} s; the KV cache holds {engine.Plan.KvCacheTokens:N0} tokens{Groups(options)}"));
        }

        return engine;
    }

    /// <summary>Loads an embedding model; the caller disposes the engine.</summary>
    /// <exception cref="EngineException">The options, the folder or the machine do not allow it.</exception>
    public static async Task<EmbeddingEngine> LoadEmbeddingsAsync(EngineOptions options, Terminal terminal, CancellationToken cancellationToken)
    {
        options = await ModelDownload.ResolveAsync(options, terminal, cancellationToken);
        using var notes = new CheckpointNotes();
        options = options with { LoggerFactory = options.LoggerFactory ?? notes };
        var engine = await LoadAsync(terminal, options, progress => EmbeddingEngine.LoadAsync(options, progress, cancellationToken));
        await notes.WriteAsync(terminal.ErrorText);
        return engine;
    }

    private static Task<T> LoadAsync<T>(Terminal terminal, EngineOptions options, Func<IProgress<LoadProgress>?, Task<T>> load) => terminal.ShowsProgress
        ? terminal.Error.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new DownloadedColumn())
            .StartAsync(context => load(new Reporter(context.AddTask("loading"), terminal.Error, Groups(options))))
        : load(null);

    // The text after the figures of one group's KV cache.
    private static string Groups(EngineOptions options) =>
        options.DataParallel == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $" in each of {options.DataParallel} groups");

    private static string Text(MemoryPlan plan, string groups)
    {
        var graphs = plan.GraphBytes > 0 ? $", CUDA graphs {ByteSize.Text(plan.GraphBytes)}" : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"weights {ByteSize.Text(plan.WeightBytes)}, activations {ByteSize.Text(plan.ActivationBytes)}{graphs}, KV cache {ByteSize.Text(plan.KvCacheBytes)}: {plan.KvCacheTokens:N0} tokens{groups}, {plan.MaxConcurrency:F2} sequences of {plan.MaxModelLen:N0} at once");
    }

    // Called on the engine's thread; the bar locks itself.
    private sealed class Reporter(ProgressTask bar, IAnsiConsole console, string groups) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            if (value.Plan is { } plan)
                console.WriteLine($"{value.Phase}: {Text(plan, groups)}");
            bar.Description = Markup.Escape(value.Phase);
            bar.IsIndeterminate = value.BytesTotal == 0;
            if (value.BytesTotal == 0)
                return;
            bar.MaxValue = value.BytesTotal;
            bar.Value = value.BytesDone;
        }
    }
}
