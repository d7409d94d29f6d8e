using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>
/// Keeps libtorch's number of CPU threads for threads that have not set one: libtorch takes the number that any thread sets as the default
/// of those that come later.
/// </summary>
internal sealed class CpuThreadSetting : IDisposable
{
    private readonly int _count;

    /// <summary>Loads libtorch where that has not happened yet, and remembers the number.</summary>
    /// <param name="libTorchPath">As of <see cref="TorchLibrary.EnsureLoaded"/>.</param>
    /// <exception cref="EngineException">As of <see cref="TorchLibrary.EnsureLoaded"/>.</exception>
    public CpuThreadSetting(string? libTorchPath)
    {
        TorchLibrary.EnsureLoaded(libTorchPath);
        _count = OnNewThread(torch.get_num_threads);
    }

    /// <summary>Puts the number back.</summary>
    public void Dispose() => OnNewThread(() =>
    {
        torch.set_num_threads(_count);
        return 0;
    });

    private static T OnNewThread<T>(Func<T> call)
    {
        // The pool's threads would keep the number.
        return Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).GetAwaiter().GetResult();
    }
}
