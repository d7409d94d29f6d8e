using System.Diagnostics.Tracing;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace LocalLlm.ExecutorHost;

/// <summary>The methods that are compiled while it listens: those that run for the first time.</summary>
internal sealed class MethodListener : EventListener
{
    private const EventKeywords Jit = (EventKeywords)0x10;
    private readonly HashSet<string> _names = [];

    /// <summary>Returns once the runtime reports what it compiles, which begins a little after the listener was created.</summary>
    public void WaitForFirst()
    {
        while (true)
        {
            lock (_names)
            {
                if (_names.Count > 0)
                    return;
            }

            // A method that is compiled now.
            var method = new DynamicMethod("first", null, null);
            method.GetILGenerator().Emit(OpCodes.Ret);
            method.CreateDelegate<Action>()();
            Thread.Yield();
        }
    }

    /// <summary>Namespace, type and method, of all that have run before this call.</summary>
    public HashSet<string> Names()
    {
        // Events come in order and a little late: when this method's own is there, all before it are.
        Marker();
        lock (_names)
        {
            while (!_names.Any(name => name.EndsWith(nameof(MethodListener) + "." + nameof(Marker), StringComparison.Ordinal)))
            {
                if (!Monitor.Wait(_names, TimeSpan.FromMinutes(1)))
                    throw new TimeoutException("The runtime does not report the methods that it compiles.");
            }
        }

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
        {
            _names.Add(space + "." + name);
            Monitor.PulseAll(_names);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Marker()
    {
    }
}
