using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LocalLlm.Interop.Cuda;

/// <summary>
/// NVIDIA's collectives (libnccl.so.2): the calls that tensor and pipeline parallelism need. It is looked for beside libtorch, on the
/// system, and at <c>LOCALLLM_NCCL</c>.
/// </summary>
/// <remarks>
/// It uses function pointers instead of imports, so that a process can load several copies. Every call leaves the runtime's cooperative
/// mode, because it may wait.
/// </remarks>
internal sealed unsafe class NcclLibrary
{
    /// <summary>The environment variable that names libnccl.so.2.</summary>
    public const string EnvironmentVariable = "LOCALLLM_NCCL";

    private const string FileName = "libnccl.so.2";
    private static readonly Lock LoadLock = new();
    private static NcclLibrary? s_loaded;

    private readonly delegate* unmanaged<int*, int> _getVersion;
    private readonly delegate* unmanaged<UniqueId*, int> _getUniqueId;
    private readonly delegate* unmanaged<int, byte*> _getErrorString;
    private readonly delegate* unmanaged<IntPtr, byte*> _getLastError;
    private readonly delegate* unmanaged<IntPtr*, int, UniqueId, int, int> _commInitRank;
    private readonly delegate* unmanaged<IntPtr, int> _commDestroy;
    private readonly delegate* unmanaged<IntPtr, int> _commAbort;
    private readonly delegate* unmanaged<IntPtr, int*, int> _commGetAsyncError;
    private readonly delegate* unmanaged<nint, nint, nuint, int, int, IntPtr, IntPtr, int> _allReduce;
    private readonly delegate* unmanaged<nint, nint, nuint, int, IntPtr, IntPtr, int> _allGather;
    private readonly delegate* unmanaged<nint, nint, nuint, int, int, IntPtr, IntPtr, int> _broadcast;
    private readonly delegate* unmanaged<nint, nuint, int, int, IntPtr, IntPtr, int> _send;
    private readonly delegate* unmanaged<nint, nuint, int, int, IntPtr, IntPtr, int> _receive;
    private readonly delegate* unmanaged<int> _groupStart;
    private readonly delegate* unmanaged<int> _groupEnd;

    /// <summary>Looks up the library's functions.</summary>
    /// <param name="path">The library's path, for messages.</param>
    /// <param name="export">Returns the address of a function by its name.</param>
    public NcclLibrary(string path, Func<string, IntPtr> export)
    {
        Path = path;
        _getVersion = (delegate* unmanaged<int*, int>)export("ncclGetVersion");
        _getUniqueId = (delegate* unmanaged<UniqueId*, int>)export("ncclGetUniqueId");
        _getErrorString = (delegate* unmanaged<int, byte*>)export("ncclGetErrorString");
        _getLastError = (delegate* unmanaged<IntPtr, byte*>)export("ncclGetLastError");
        _commInitRank = (delegate* unmanaged<IntPtr*, int, UniqueId, int, int>)export("ncclCommInitRank");
        _commDestroy = (delegate* unmanaged<IntPtr, int>)export("ncclCommDestroy");
        _commAbort = (delegate* unmanaged<IntPtr, int>)export("ncclCommAbort");
        _commGetAsyncError = (delegate* unmanaged<IntPtr, int*, int>)export("ncclCommGetAsyncError");
        _allReduce = (delegate* unmanaged<nint, nint, nuint, int, int, IntPtr, IntPtr, int>)export("ncclAllReduce");
        _allGather = (delegate* unmanaged<nint, nint, nuint, int, IntPtr, IntPtr, int>)export("ncclAllGather");
        _broadcast = (delegate* unmanaged<nint, nint, nuint, int, int, IntPtr, IntPtr, int>)export("ncclBroadcast");
        _send = (delegate* unmanaged<nint, nuint, int, int, IntPtr, IntPtr, int>)export("ncclSend");
        _receive = (delegate* unmanaged<nint, nuint, int, int, IntPtr, IntPtr, int>)export("ncclRecv");
        _groupStart = (delegate* unmanaged<int>)export("ncclGroupStart");
        _groupEnd = (delegate* unmanaged<int>)export("ncclGroupEnd");
    }

    /// <summary>ncclUniqueId: the id that the ranks of one communicator share.</summary>
    [InlineArray(128)]
    public struct UniqueId
    {
        private byte _first;

        /// <summary>Bytes of an id.</summary>
        public const int Length = 128;

        /// <summary>Creates an id from the result of <see cref="ToBytes"/>.</summary>
        public static UniqueId From(ReadOnlySpan<byte> bytes)
        {
            UniqueId id = default;
            bytes[..Length].CopyTo(id);
            return id;
        }

        /// <summary>The bytes to send to the other ranks.</summary>
        public readonly byte[] ToBytes() => ((ReadOnlySpan<byte>)this).ToArray();
    }

    /// <summary>The library's file.</summary>
    public string Path { get; }

    /// <summary>Such as 22809 for 2.28.9.</summary>
    public int Version
    {
        get
        {
            int version;
            Check(_getVersion(&version), "ncclGetVersion", IntPtr.Zero);
            return version;
        }
    }

    /// <summary>Loads the library once per process.</summary>
    /// <param name="libTorchFolder">The folders next to it are searched first, because a process should load only one copy.</param>
    /// <exception cref="EngineException">Kind Environment: not found; the message lists the searched places.</exception>
    public static NcclLibrary Load(string? libTorchFolder) => TryLoad(libTorchFolder) ?? throw new EngineException(
        EngineErrorKind.Environment,
        Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } named
            ? $"{EnvironmentVariable} names {named}, which is no {FileName} that can be loaded. Name the file, or unset it to have NCCL looked for."
            : $"NCCL ({FileName}) was not found: looked beside libtorch, in Python's nvidia packages and on the library path. "
                + $"A model that is spread over several GPUs needs it: install libnccl2, or set {EnvironmentVariable} to the file; "
                + "stages on different nodes do without it where LOCALLLM_NCCL_BETWEEN_NODES is not set.",
        "tensor_parallel_size");

    /// <summary>Loads the library if it exists.</summary>
    public static NcclLibrary? TryLoad(string? libTorchFolder)
    {
        lock (LoadLock)
        {
            if (s_loaded is not null)
                return s_loaded;
            foreach (var candidate in Candidates(libTorchFolder))
            {
                if (NativeLibrary.TryLoad(candidate, out var handle) && NativeLibrary.TryGetExport(handle, "ncclCommInitRank", out _))
                    return s_loaded = new(candidate, name => NativeLibrary.GetExport(handle, name));
            }

            return null;
        }
    }

    /// <summary>Sets the library that every later <see cref="Load"/> returns.</summary>
    public static void Use(NcclLibrary? library)
    {
        lock (LoadLock)
            s_loaded = library;
    }

    /// <summary>Creates an id for a new communicator.</summary>
    public UniqueId CreateUniqueId()
    {
        UniqueId id;
        Check(_getUniqueId(&id), "ncclGetUniqueId", IntPtr.Zero);
        return id;
    }

    /// <summary>Waits until all ranks have called it; call it on the thread of the rank's device.</summary>
    public IntPtr CommInitRank(int ranks, UniqueId id, int rank)
    {
        IntPtr communicator;
        Check(_commInitRank(&communicator, ranks, id, rank), "ncclCommInitRank", IntPtr.Zero);
        return communicator;
    }

    /// <summary>Frees a communicator that has finished its work.</summary>
    public void CommDestroy(IntPtr communicator) => _ = _commDestroy(communicator);

    /// <summary>Aborts a communicator's work on its device, and frees it.</summary>
    public void CommAbort(IntPtr communicator) => _ = _commAbort(communicator);

    /// <summary>Throws if an asynchronous operation has failed.</summary>
    public void CheckAsync(IntPtr communicator)
    {
        int failure;
        Check(_commGetAsyncError(communicator, &failure), "ncclCommGetAsyncError", communicator);
        Check(failure, "an earlier call of NCCL", communicator);
    }

    /// <summary>target = sum of every rank's source; both may be the same buffer.</summary>
    public void AllReduce(nint source, nint target, long count, NcclType type, IntPtr communicator, IntPtr stream)
    {
        const int sum = 0;
        Check(_allReduce(source, target, (nuint)count, (int)type, sum, communicator, stream), "ncclAllReduce", communicator);
    }

    /// <summary>target = the sources of all ranks, one after the other.</summary>
    public void AllGather(nint source, nint target, long count, NcclType type, IntPtr communicator, IntPtr stream) =>
        Check(_allGather(source, target, (nuint)count, (int)type, communicator, stream), "ncclAllGather", communicator);

    /// <summary>target = the root's source.</summary>
    public void Broadcast(nint source, nint target, long count, NcclType type, int root, IntPtr communicator, IntPtr stream) =>
        Check(_broadcast(source, target, (nuint)count, (int)type, root, communicator, stream), "ncclBroadcast", communicator);

    /// <summary>Sends to a peer, which must receive the same count.</summary>
    public void Send(nint source, long count, NcclType type, int peer, IntPtr communicator, IntPtr stream) =>
        Check(_send(source, (nuint)count, (int)type, peer, communicator, stream), "ncclSend", communicator);

    /// <summary>Receives what a peer sends.</summary>
    public void Receive(nint target, long count, NcclType type, int peer, IntPtr communicator, IntPtr stream) =>
        Check(_receive(target, (nuint)count, (int)type, peer, communicator, stream), "ncclRecv", communicator);

    /// <summary>Joins the calls until <see cref="GroupEnd"/> into one operation, in which a rank can send to itself.</summary>
    public void GroupStart() => Check(_groupStart(), "ncclGroupStart", IntPtr.Zero);

    /// <inheritdoc cref="GroupStart"/>
    public void GroupEnd() => Check(_groupEnd(), "ncclGroupEnd", IntPtr.Zero);

    private static IEnumerable<string> Candidates(string? libTorchFolder)
    {
        if (Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } named)
            return [named];
        // In PyTorch's wheels, site-packages/torch/lib is next to site-packages/nvidia/nccl/lib.
        return libTorchFolder is null
            ? [FileName]
            : [
                System.IO.Path.Combine(libTorchFolder, FileName),
                System.IO.Path.Combine(libTorchFolder, "..", "..", "nvidia", "nccl", "lib", FileName),
                FileName,
            ];
    }

    private void Check(int result, string call, IntPtr communicator)
    {
        if (result == 0)
            return;
        var detail = Marshal.PtrToStringUTF8((IntPtr)_getLastError(communicator));
        throw new NcclException(call, Marshal.PtrToStringUTF8((IntPtr)_getErrorString(result)) ?? "unknown error", string.IsNullOrWhiteSpace(detail) ? null : detail.Trim(), result);
    }
}
