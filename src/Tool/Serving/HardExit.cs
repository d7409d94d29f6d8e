using System.Runtime.InteropServices;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// Ends the process of a failed replica even if something in it hangs: a supervisor restarts it only once it has ended.
/// </summary>
internal static partial class HardExit
{
    // Time for the callers to receive the error, and for the threads to end.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Handlers = TimeSpan.FromSeconds(1);

    private static int s_isArmed;

    /// <summary>Ensures that the process ends within six seconds, by itself or by force.</summary>
    public static void Arm()
    {
        if (Interlocked.Exchange(ref s_isArmed, 1) != 0)
            return;
        // A thread of its own: all threads of the pool may be blocked.
        new Thread(() =>
        {
            Thread.Sleep(Grace + Handlers);
            _exit(ExitCodes.EngineDead);
        }) { IsBackground = true, Name = "last exit" }.Start();
        new Thread(() =>
        {
            Thread.Sleep(Grace);
            Environment.Exit(ExitCodes.EngineDead);
        }) { IsBackground = true, Name = "exit" }.Start();
    }

    [LibraryImport("libc")]
    private static partial void _exit(int code);
}
