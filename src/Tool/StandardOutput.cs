using Microsoft.Win32.SafeHandles;

namespace LocalLlm.Tool;

/// <summary>
/// Standard output as bytes, with an error when its reader has gone. The console's own stream ignores that, and a program that
/// writes to it would continue for no reader.
/// </summary>
internal static class StandardOutput
{
    private const int Descriptor = 1;

    // The number on Linux and macOS.
    private const int BrokenPipe = 32;

    /// <summary>Opens it; disposing the stream leaves the descriptor open.</summary>
    public static Stream Open()
    {
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected)
            return Console.OpenStandardOutput();
        var stream = new FileStream(new SafeFileHandle(Descriptor, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        // A file has no reader that can go, and writing at its own positions would overwrite what others append.
        if (!stream.CanSeek)
            return stream;
        stream.Dispose();
        return Console.OpenStandardOutput();
    }

    /// <summary>Whether a failure means that the reader has gone.</summary>
    public static bool IsGone(Exception failure) => failure is IOException { HResult: BrokenPipe };
}
