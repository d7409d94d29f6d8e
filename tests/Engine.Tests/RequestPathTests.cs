using System.Diagnostics.Tracing;
using LocalLlm.Tests.Engine;
using Mono.Cecil;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>
/// How many files of the engine one request runs through, from GenerateAsync to its first token, as the runtime sees it: those whose methods
/// it calls, not those whose data it reads, down to the model's interface (below it are the model, its layers and the device's kernels).
/// </summary>
[Collection("RunsAlone")]
public class RequestPathTests
{
    private static readonly HashSet<string> BelowTheModel = ["Models", "Layers", "Ops", "Parallel"];

    [Fact]
    public async Task A_request_crosses_at_most_45_files()
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { Device = "cpu" });
        using var methods = new MethodListener();
        await foreach (var output in engine.GenerateAsync("Once upon a time", new SamplingParams { Temperature = 0, MaxTokens = 1 }, TestContext.Current.CancellationToken))
            Assert.Single(output.TokenIds);
        var files = FilesOf(methods.Names());
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

    // Methods that are compiled when they are first called.
    private sealed class MethodListener : EventListener
    {
        private const EventKeywords Jit = (EventKeywords)0x10;
        private readonly HashSet<string> _names = [];

        public HashSet<string> Names()
        {
            lock (_names)
                return [.. _names];
        }

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name == "Microsoft-Windows-DotNETRuntime")
                EnableEvents(eventSource, EventLevel.Verbose, Jit);
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            if (eventData.EventName?.StartsWith("MethodLoadVerbose", StringComparison.Ordinal) != true)
                return;
            var space = (string)eventData.Payload![eventData.PayloadNames!.IndexOf("MethodNamespace")]!;
            var name = (string)eventData.Payload[eventData.PayloadNames.IndexOf("MethodName")]!;
            lock (_names)
                _names.Add(space + "." + name);
        }
    }
}
