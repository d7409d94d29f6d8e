using System.Runtime.InteropServices;

namespace LocalLlm.Interop;

/// <summary>The C library. Native libraries do not see .NET's own environment variables, which are a copy.</summary>
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

    // An id of 0 is the calling thread.
    [LibraryImport("libc")]
    public static partial int sched_setaffinity(int thread, nuint bytes, void* mask);
}
