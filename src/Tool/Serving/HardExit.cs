using System.Runtime.InteropServices;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// Ends the process of a replica that has failed, whatever still hangs in it: a supervisor starts it again only when it is gone.
/// </summary>
internal static partial class HardExit
{
    // For the callers to hear what has happened, and the threads to end.
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Handlers = TimeSpan.FromSeconds(1);

    private static int s_isArmed;

    /// <summary>From now on the process ends within six seconds, by itself or by force.</summary>
    public static void Arm()
    {
        if (Interlocked.Exchange(ref s_isArmed, 1) != 0)
            return;
        // Threads of their own: the pool's may all be held.
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
