using System.Runtime.InteropServices;

namespace LocalLlm.Interop;

/// <summary>The C library. .NET's own environment is a copy that native libraries do not see.</summary>
internal static unsafe partial class LibC
{
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int setenv(string name, string value, int overwrite);

    [LibraryImport("libc")]
    public static partial void* mmap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc")]
    public static partial int mprotect(void* address, nuint length, int protection);

    [LibraryImport("libc")]
    public static partial int munmap(void* address, nuint length);

    // Of the calling thread where the id is 0.
    [LibraryImport("libc")]
    public static partial int sched_setaffinity(int thread, nuint bytes, void* mask);
}
