using Microsoft.Win32.SafeHandles;

namespace LocalLlm.Tool;

/// <summary>
/// Standard output as bytes, which tells when its reader has gone: the console's own stream passes over that, and whoever writes to it
/// works on for nobody.
/// </summary>
internal static class StandardOutput
{
    private const int Descriptor = 1;

    // As Linux and macOS number it.
    private const int BrokenPipe = 32;

    /// <summary>Opens it; disposing the stream leaves the descriptor open.</summary>
    public static Stream Open()
    {
        if (OperatingSystem.IsWindows() || !Console.IsOutputRedirected)
            return Console.OpenStandardOutput();
        var stream = new FileStream(new SafeFileHandle(Descriptor, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        // A file has no reader that may go; written by its own positions it would overwrite what others append.
        if (!stream.CanSeek)
            return stream;
        stream.Dispose();
        return Console.OpenStandardOutput();
    }

    /// <summary>Whether a failure says that the reader has gone.</summary>
    public static bool IsGone(Exception failure) => failure is IOException { HResult: BrokenPipe };
}
