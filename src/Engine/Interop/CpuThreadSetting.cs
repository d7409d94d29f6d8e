using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>
/// Preserves libtorch's default number of CPU threads. If any thread sets a number, libtorch uses it as the default of all threads that
/// start later.
/// </summary>
internal sealed class CpuThreadSetting : IDisposable
{
    private readonly int _count;

    /// <summary>Loads libtorch if it is not loaded yet, and stores the number.</summary>
    /// <param name="libTorchPath">As for <see cref="TorchLibrary.EnsureLoaded"/>.</param>
    /// <exception cref="EngineException">As for <see cref="TorchLibrary.EnsureLoaded"/>.</exception>
    public CpuThreadSetting(string? libTorchPath)
    {
        TorchLibrary.EnsureLoaded(libTorchPath);
        _count = OnNewThread(torch.get_num_threads);
    }

    /// <summary>Restores the number.</summary>
    public void Dispose() => OnNewThread(() =>
    {
        torch.set_num_threads(_count);
        return 0;
    });

    private static T OnNewThread<T>(Func<T> call)
    {
        // A thread of the pool would keep the number.
        return Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).GetAwaiter().GetResult();
    }
}
