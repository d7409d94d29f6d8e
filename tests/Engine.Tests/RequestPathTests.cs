using System.Diagnostics;
using Mono.Cecil;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>
/// Counts the files of the engine that one request runs through, from GenerateAsync to its first token, as the runtime sees it. A file
/// counts if the request calls its methods, not if it only reads its data. The count stops at the model's interface: below it are the
/// model, its layers and the device's kernels.
/// </summary>
public class RequestPathTests
{
    private static readonly HashSet<string> BelowTheModel = ["Models", "Layers", "Ops", "Parallel"];

    // Some files of each step in docs/architecture.md.
    private static readonly string[] Expected =
    [
        "LlmEngine.Generate.cs", "Sampling/SamplingValidator.cs", "Scheduling/EngineInbox.cs", "Scheduling/EngineLoop.cs", "Scheduling/CommandReader.cs",
        "Scheduling/Scheduler.Schedule.cs", "KvCache/KvCacheManager.cs", "Scheduling/StepRecord.cs", "Execution/LocalExecutor.cs", "Execution/ModelRunner.cs",
        "Sampling/Sampler.cs", "Execution/SubmittedStep.cs", "Scheduling/Scheduler.Update.cs", "Scheduling/OutputProcessor.cs", "Scheduling/LiveSequence.cs",
    ];

    [Fact]
    public async Task A_request_crosses_at_most_45_files()
    {
        // Runs in a new process, where every method that runs has yet to be compiled and is therefore seen.
        var host = Path.Combine(AppContext.BaseDirectory, "LocalLlm.ExecutorHost.dll");
        using var process = Process.Start(new ProcessStartInfo("dotnet", [host, TestPaths.TinyR1]) { RedirectStandardOutput = true })!;
        var names = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        var files = FilesOf(names.Split('\n', StringSplitOptions.TrimEntries).ToHashSet());
        Assert.Superset(Expected.ToHashSet(), files.ToHashSet());
        Assert.True(files.Length <= 45, $"{files.Length}\n" + string.Join('\n', files));
    }

    private static string[] FilesOf(IReadOnlySet<string> names)
    {
        using var module = ModuleDefinition.ReadModule(typeof(LlmEngine).Assembly.Location, new ReaderParameters { ReadSymbols = true });
        return [.. module.GetTypes().SelectMany(type => type.Methods).Where(method => !IsData(method) && names.Contains(method.DeclaringType.FullName.Replace('/', '+') + "." + method.Name))
            .Select(method => method.DebugInformation.SequencePoints.FirstOrDefault()?.Document.Url).OfType<string>().Distinct()
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal))
            .Select(file => Path.GetRelativePath(Path.Combine(TestPaths.Repository, "src", "Engine"), file))
            .Where(file => !BelowTheModel.Contains(file.Split(Path.DirectorySeparatorChar)[0])).Order()];
    }

    private static bool IsData(MethodDefinition method) =>
        method.IsGetter || method.IsSetter || method.IsConstructor || method.CustomAttributes.Any(one => one.AttributeType.Name == "CompilerGeneratedAttribute");
}
