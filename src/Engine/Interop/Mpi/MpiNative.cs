using System.Runtime.InteropServices;

namespace LocalLlm.Interop.Mpi;

/// <summary>
/// Open MPI's entry points (4.1 and 5.0, both <c>libmpi.so.40</c>). Its handles are addresses of exported globals; MPICH, whose handles are
/// numbers, is not supported. All calls hold one lock (<see cref="MpiWorld"/>), so MPI_THREAD_SERIALIZED is enough.
/// </summary>
internal static unsafe partial class MpiNative
{
    private const string Library = "libmpi.so.40";

    /// <summary>Only one thread calls at a time.</summary>
    public const int ThreadSerialized = 2;

    /// <summary>Bytes for the text of an error.</summary>
    public const int MaxErrorString = 512;

    [LibraryImport(Library)]
    public static partial int MPI_Initialized(out int flag);

    [LibraryImport(Library)]
    public static partial int MPI_Init_thread(nint argc, nint argv, int required, out int provided);

    [LibraryImport(Library)]
    public static partial int MPI_Comm_rank(nint communicator, out int rank);

    [LibraryImport(Library)]
    public static partial int MPI_Comm_size(nint communicator, out int size);

    [LibraryImport(Library)]
    public static partial int MPI_Comm_split(nint communicator, int color, int key, out nint created);

    [LibraryImport(Library)]
    public static partial int MPI_Comm_set_errhandler(nint communicator, nint handler);

    [LibraryImport(Library)]
    public static partial int MPI_Iallgather(void* send, int sendCount, nint sendType, void* receive, int receiveCount, nint receiveType, nint communicator, out nint request);

    [LibraryImport(Library)]
    public static partial int MPI_Ialltoall(void* send, int sendCount, nint sendType, void* receive, int receiveCount, nint receiveType, nint communicator, out nint request);

    [LibraryImport(Library)]
    public static partial int MPI_Ibcast(void* buffer, int count, nint type, int root, nint communicator, out nint request);

    [LibraryImport(Library)]
    public static partial int MPI_Isend(void* buffer, int count, nint type, int destination, int tag, nint communicator, out nint request);

    [LibraryImport(Library)]
    public static partial int MPI_Irecv(void* buffer, int count, nint type, int source, int tag, nint communicator, out nint request);

    [LibraryImport(Library)]
    public static partial int MPI_Test(ref nint request, out int flag, nint status);

    [LibraryImport(Library)]
    public static partial int MPI_Error_string(int code, byte* text, out int length);

    [LibraryImport(Library)]
    public static partial int MPI_Finalize();

    /// <summary>Loads the library.</summary>
    /// <returns>The library's handle; zero: there is none.</returns>
    public static nint Load() => NativeLibrary.TryLoad(Library, out var library) ? library : 0;
}
