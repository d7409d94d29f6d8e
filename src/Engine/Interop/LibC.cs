using System.Runtime.InteropServices;

namespace LocalLlm.Interop;

/// <summary>The C library. .NET's own environment is a copy that native libraries do not see.</summary>
internal static partial class LibC
{
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int setenv(string name, string value, int overwrite);
}
