using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// The server's process if mpirun started the ranks. It stands in front of rank 0, in a session of its own. If one rank fails and
/// mpirun kills all ranks, it is still there to report the error to its callers.
/// </summary>
internal static partial class FrontEnd
{
    /// <summary>Starts the process; called on rank 0.</summary>
    /// <param name="port">Where the process listens for the ranks.</param>
    public static Process Start(int port) => Process.Start(new RankProcess(ServeRole.Server, 0, port).ToStart([]))!;

    /// <summary>Called first in the new process: leaves the session of the process that started it.</summary>
    public static void LeaveSession() => _ = setsid();

    [LibraryImport("libc")]
    private static partial int setsid();
}
