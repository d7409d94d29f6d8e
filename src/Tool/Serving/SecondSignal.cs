using System.Runtime.InteropServices;

namespace LocalLlm.Tool.Serving;

/// <summary>The first signal to end stops the application (the host's own doing); the second says that it must be now.</summary>
internal sealed class SecondSignal : IDisposable
{
    private readonly PosixSignalRegistration[] _registrations;
    private int _count;

    /// <param name="hurry">Called at the second signal, and each one after it.</param>
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
