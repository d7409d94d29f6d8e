using System.Diagnostics.Tracing;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace LocalLlm.ExecutorHost;

/// <summary>Collects the methods that the runtime compiles while this object listens: those that run for the first time.</summary>
internal sealed class MethodListener : EventListener
{
    private const EventKeywords Jit = (EventKeywords)0x10;
    private readonly HashSet<string> _names = [];

    /// <summary>Returns once the runtime reports compiled methods; it starts to do so shortly after the listener was created.</summary>
    public void WaitForFirst()
    {
        while (true)
        {
            lock (_names)
            {
                if (_names.Count > 0)
                    return;
            }

            // Creates a method that the runtime compiles now.
            var method = new DynamicMethod("first", null, null);
            method.GetILGenerator().Emit(OpCodes.Ret);
            method.CreateDelegate<Action>()();
            Thread.Yield();
        }
    }

    /// <summary>Namespace, type and name of all methods that ran for the first time before this call.</summary>
    public HashSet<string> Names()
    {
        // Events arrive in order but a little late: once the marker's event has arrived, so have all earlier ones.
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
