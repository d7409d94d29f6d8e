using System.Diagnostics.Tracing;

namespace LocalLlm.ExecutorHost;

/// <summary>The methods that are compiled while it listens: those that run for the first time.</summary>
internal sealed class MethodListener : EventListener
{
    private const EventKeywords Jit = (EventKeywords)0x10;
    private readonly HashSet<string> _names = [];

    /// <summary>Namespace, type and method.</summary>
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
