using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// The server's process where mpirun has started the ranks: in front of rank 0, and in a session of its own, so that it is still there to
/// tell its callers when mpirun kills all ranks with one that has failed.
/// </summary>
internal static partial class FrontEnd
{
    /// <summary>On rank 0: starts it.</summary>
    /// <param name="port">Where it listens for the ranks.</param>
    public static Process Start(int port) => Process.Start(new RankProcess(ServeRole.Server, 0, port).ToStart([]))!;

    /// <summary>In that process, first of all: leaves the session of the one that has started it.</summary>
    public static void LeaveSession() => _ = setsid();

    [LibraryImport("libc")]
    private static partial int setsid();
}
