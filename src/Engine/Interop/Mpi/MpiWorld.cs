using System.Runtime.InteropServices;
using System.Text;

namespace LocalLlm.Interop.Mpi;

/// <summary>
/// MPI in this process. It starts once, and is finalized only if all ranks end normally, because a rank that waits for others in
/// MPI_Finalize hangs. All calls hold one lock and none blocks: callers that wait poll, and can stop.
/// </summary>
internal sealed unsafe class MpiWorld
{
    private static readonly Lock Calls = new();
    private static readonly Lock Beginning = new();
    private static MpiWorld? s_world;

    private readonly nint _byte;

    private MpiWorld(nint library)
    {
        Handle = Export(library, "ompi_mpi_comm_world");
        _byte = Export(library, "ompi_mpi_byte");
        Check(MpiNative.MPI_Initialized(out var isInitialized), "MPI_Initialized");
        if (isInitialized == 0)
        {
            Check(MpiNative.MPI_Init_thread(0, 0, MpiNative.ThreadSerialized, out var provided), "MPI_Init_thread");
            if (provided < MpiNative.ThreadSerialized)
                throw new EngineException(EngineErrorKind.Environment, "This Open MPI was built without support for threads; use a build that has MPI_THREAD_SERIALIZED.");
        }

        // Makes a failure return a code, which the engine reports, instead of ending the process.
        Check(MpiNative.MPI_Comm_set_errhandler(Handle, Export(library, "ompi_mpi_errors_return")), "MPI_Comm_set_errhandler");
        Check(MpiNative.MPI_Comm_rank(Handle, out var rank), "MPI_Comm_rank");
        Check(MpiNative.MPI_Comm_size(Handle, out var size), "MPI_Comm_size");
        (Rank, Size) = (rank, size);
    }

    /// <summary>The communicator of all ranks.</summary>
    public nint Handle { get; }

    /// <summary>This process's rank.</summary>
    public int Rank { get; }

    /// <summary>Number of processes.</summary>
    public int Size { get; }

    /// <summary>Joins the processes that mpirun or srun has started with this one; later calls return the same object.</summary>
    /// <exception cref="EngineException">Kind Environment: Open MPI is missing, or cannot be used.</exception>
    public static MpiWorld Join()
    {
        lock (Beginning)
        {
            if (s_world is not null)
                return s_world;
            var library = MpiNative.Load();
            if (library == 0)
                throw new EngineException(EngineErrorKind.Environment, "Open MPI is not installed (libmpi.so.40 cannot be loaded); install it, on Debian and Ubuntu with: apt-get install openmpi-bin.");
            return s_world = new(library);
        }
    }

    /// <summary>
    /// A communicator of the ranks that pass the same <paramref name="color"/>, ordered by rank. Every process must call it, in the same
    /// order.
    /// </summary>
    public nint Split(int color)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Comm_split(Handle, color, Rank, out var created), "MPI_Comm_split");
            return created;
        }
    }

    /// <summary>Starts to gather every rank's <paramref name="bytes"/>, in the order of the ranks.</summary>
    public nint AllGather(void* send, void* receive, int bytes, nint communicator)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Iallgather(send, bytes, _byte, receive, bytes, _byte, communicator, out var request), "MPI_Iallgather");
            return request;
        }
    }

    /// <summary>Starts to send the i-th block of <paramref name="bytes"/> to rank i, and to receive rank i's block as the i-th.</summary>
    public nint AllToAll(void* send, void* receive, int bytes, nint communicator)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Ialltoall(send, bytes, _byte, receive, bytes, _byte, communicator, out var request), "MPI_Ialltoall");
            return request;
        }
    }

    /// <summary>Starts to send the buffer of <paramref name="root"/> to all ranks.</summary>
    public nint Broadcast(void* buffer, int bytes, int root, nint communicator)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Ibcast(buffer, bytes, _byte, root, communicator, out var request), "MPI_Ibcast");
            return request;
        }
    }

    /// <summary>Starts to send; the memory must not change until the operation is done.</summary>
    public nint Send(void* buffer, int bytes, int rank, int tag)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Isend(buffer, bytes, _byte, rank, tag, Handle, out var request), "MPI_Isend");
            return request;
        }
    }

    /// <summary>Starts to receive.</summary>
    public nint Receive(void* buffer, int bytes, int rank, int tag)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Irecv(buffer, bytes, _byte, rank, tag, Handle, out var request), "MPI_Irecv");
            return request;
        }
    }

    /// <summary>Whether a started operation is done; its request must not be used afterwards.</summary>
    public static bool IsDone(ref nint request)
    {
        lock (Calls)
        {
            Check(MpiNative.MPI_Test(ref request, out var done, 0), "MPI_Test");
            return done != 0;
        }
    }

    /// <summary>
    /// Finalizes MPI in this process once all ranks have called it: mpirun treats a process that ends without it as failed. No other call
    /// may follow.
    /// </summary>
    public static void Leave()
    {
        lock (Calls)
        {
            if (Volatile.Read(ref s_world) is not null)
                Check(MpiNative.MPI_Finalize(), "MPI_Finalize");
        }
    }

    private static nint Export(nint library, string name) => NativeLibrary.TryGetExport(library, name, out var address)
        ? address
        : throw new EngineException(EngineErrorKind.Environment, $"The installed MPI is not Open MPI 4.1 or 5.0 ({name} is missing); install Open MPI.");

    private static void Check(int code, string call)
    {
        if (code == 0)
            return;
        var text = stackalloc byte[MpiNative.MaxErrorString];
        var known = MpiNative.MPI_Error_string(code, text, out var length) == 0;
        throw new EngineException(EngineErrorKind.EngineDead, $"{call} has failed: {(known ? Encoding.UTF8.GetString(text, length) : $"error {code}")}.");
    }
}
