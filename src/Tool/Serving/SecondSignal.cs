using System.Runtime.InteropServices;

namespace LocalLlm.Tool.Serving;

/// <summary>The host stops the application at the first termination signal; the second signal demands that it stop now.</summary>
internal sealed class SecondSignal : IDisposable
{
    private readonly PosixSignalRegistration[] _registrations;
    private int _count;

    /// <param name="hurry">Called at the second signal and at each later one.</param>
    public SecondSignal(Action hurry)
    {
        _registrations = [Register(PosixSignal.SIGTERM), Register(PosixSignal.SIGINT)];

        PosixSignalRegistration Register(PosixSignal signal) => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            if (Interlocked.Increment(ref _count) > 1)
                hurry();
        });
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(_registrations, registration => registration.Dispose());
}
