using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>
/// Keeps libtorch's number of CPU threads for threads that have not set one: libtorch takes the number that any thread sets as the default of
/// those that come later.
/// </summary>
internal sealed class CpuThreadSetting : IDisposable
{
    private readonly int _count = OnNewThread(torch.get_num_threads);

    /// <summary>Puts the number back.</summary>
    public void Dispose() => OnNewThread(() =>
    {
        torch.set_num_threads(_count);
        return 0;
    });

    private static T OnNewThread<T>(Func<T> call)
    {
        var result = default(T)!;
        var thread = new Thread(() => result = call());
        thread.Start();
        thread.Join();
        return result;
    }
}
