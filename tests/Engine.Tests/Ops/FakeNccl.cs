using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using LocalLlm.Interop.Cuda;

namespace LocalLlm.Tests.Ops;

/// <summary>One call of a collective, which must be the same on every rank; <see cref="FakeNccl"/> records them.</summary>
/// <param name="Name">The function, such as ncclAllReduce.</param>
/// <param name="Count">Number of elements.</param>
/// <param name="Type">The element type, an ncclDataType_t.</param>
/// <param name="Detail">Operation or root; for a transfer, a rank of the pair.</param>
internal readonly record struct NcclCall(string Name, long Count, int Type, int Detail);

/// <summary>
/// Stands in for libnccl.so.2, with its functions and its calling convention. Ranks are threads of this process. Their memory is the
/// host's, or that of one card, on which the real library refuses two ranks. This checks what the real library would hang or fail on: that
/// all ranks make the same calls with the same arguments in the same order, on live communicators.
/// </summary>
internal static unsafe partial class FakeNccl
{
    private const int Success = 0;
    private const int InvalidArgument = 4;
    private const int InvalidUsage = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private static readonly ConcurrentDictionary<string, Group> Groups = new();
    private static readonly ConcurrentDictionary<nint, Member> Members = new();
    private static readonly byte[] ErrorText = Encoding.UTF8.GetBytes("fake error\0");
    private static readonly GCHandle ErrorHandle = GCHandle.Alloc(ErrorText, GCHandleType.Pinned);
    private static long s_nextHandle;
    private static int s_nextId;
    [ThreadStatic] private static byte[]? s_lastError;

    /// <summary>The functions, for <see cref="NcclLibrary"/>.</summary>
    public static NcclLibrary Library { get; } = new("fake", Export);

    /// <summary>Members of a communicator that were neither destroyed nor aborted.</summary>
    public static int Alive => Members.Count;

    /// <summary>What each rank has called, in order.</summary>
    public static IReadOnlyList<IReadOnlyList<NcclCall>> CallsOf(NcclLibrary.UniqueId id)
    {
        var group = Groups[Key(id)];
        return [.. Enumerable.Range(0, group.Size).Select(rank => (IReadOnlyList<NcclCall>)[.. group.Calls[rank]])];
    }

    private static nint Export(string name) => name switch
    {
        "ncclGetVersion" => (nint)(delegate* unmanaged<int*, int>)&GetVersion,
        "ncclGetUniqueId" => (nint)(delegate* unmanaged<NcclLibrary.UniqueId*, int>)&GetUniqueId,
        "ncclGetErrorString" => (nint)(delegate* unmanaged<int, byte*>)&GetErrorString,
        "ncclGetLastError" => (nint)(delegate* unmanaged<nint, byte*>)&GetLastError,
        "ncclCommInitRank" => (nint)(delegate* unmanaged<nint*, int, NcclLibrary.UniqueId, int, int>)&CommInitRank,
        "ncclCommDestroy" => (nint)(delegate* unmanaged<nint, int>)&CommDestroy,
        "ncclCommAbort" => (nint)(delegate* unmanaged<nint, int>)&CommAbort,
        "ncclCommGetAsyncError" => (nint)(delegate* unmanaged<nint, int*, int>)&CommGetAsyncError,
        "ncclAllReduce" => (nint)(delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)&AllReduce,
        "ncclAllGather" => (nint)(delegate* unmanaged<nint, nint, nuint, int, nint, nint, int>)&AllGather,
        "ncclBroadcast" => (nint)(delegate* unmanaged<nint, nint, nuint, int, int, nint, nint, int>)&Broadcast,
        "ncclSend" => (nint)(delegate* unmanaged<nint, nuint, int, int, nint, nint, int>)&Send,
        "ncclRecv" => (nint)(delegate* unmanaged<nint, nuint, int, int, nint, nint, int>)&Receive,
        "ncclGroupStart" => (nint)(delegate* unmanaged<int>)&GroupStart,
        "ncclGroupEnd" => (nint)(delegate* unmanaged<int>)&GroupEnd,
        _ => throw new EntryPointNotFoundException(name),
    };

    /// <summary>Whether a rank has begun to connect.</summary>
    public static bool IsConnecting(NcclLibrary.UniqueId id) => Groups.ContainsKey(Key(id));

    private static string Key(NcclLibrary.UniqueId id) => Convert.ToHexString(id.ToBytes().AsSpan(0, 16));

    [UnmanagedCallersOnly]
    private static int GetVersion(int* version)
    {
        *version = 2_28_09;
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int GetUniqueId(NcclLibrary.UniqueId* id)
    {
        var bytes = new byte[NcclLibrary.UniqueId.Length];
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Interlocked.Increment(ref s_nextId):D16}")).CopyTo(bytes, 0);
        *id = NcclLibrary.UniqueId.From(bytes);
        return Success;
    }

    [UnmanagedCallersOnly]
    private static byte* GetErrorString(int result) => (byte*)ErrorHandle.AddrOfPinnedObject();

    [UnmanagedCallersOnly]
    private static byte* GetLastError(nint communicator)
    {
        s_lastError ??= [0];
        return (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(s_lastError));
    }

    [UnmanagedCallersOnly]
    private static int CommInitRank(nint* communicator, int ranks, NcclLibrary.UniqueId id, int rank)
    {
        var group = Groups.GetOrAdd(Key(id), _ => new Group(ranks));
        if (group.Size != ranks || rank < 0 || rank >= ranks)
            return Fail(InvalidArgument, $"rank {rank} of {ranks} in a group of {group.Size}");
        *communicator = (nint)Interlocked.Increment(ref s_nextHandle);
        Members[*communicator] = new(group, rank);
        return group.Join() ? Success : Fail(InvalidUsage, "not all ranks came");
    }

    [UnmanagedCallersOnly]
    private static int CommDestroy(nint communicator) => Members.TryRemove(communicator, out _) ? Success : Fail(InvalidArgument, "destroyed twice");

    [UnmanagedCallersOnly]
    private static int CommAbort(nint communicator)
    {
        if (!Members.TryRemove(communicator, out var member))
            return Fail(InvalidArgument, "no such communicator");
        member.Group.Abort();
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int CommGetAsyncError(nint communicator, int* failure)
    {
        *failure = Success;
        return Members.ContainsKey(communicator) ? Success : Fail(InvalidArgument, "no such communicator");
    }

    [UnmanagedCallersOnly]
    private static int AllReduce(nint source, nint target, nuint count, int type, int operation, nint communicator, nint stream) =>
        Collect(communicator, stream, source, target, new("ncclAllReduce", (long)count, type, operation));

    [UnmanagedCallersOnly]
    private static int AllGather(nint source, nint target, nuint count, int type, nint communicator, nint stream) =>
        Collect(communicator, stream, source, target, new("ncclAllGather", (long)count, type, 0));

    [UnmanagedCallersOnly]
    private static int Broadcast(nint source, nint target, nuint count, int type, int root, nint communicator, nint stream) =>
        Collect(communicator, stream, source, target, new("ncclBroadcast", (long)count, type, root));

    [UnmanagedCallersOnly]
    private static int Send(nint source, nuint count, int type, int peer, nint communicator, nint stream) =>
        Pass(communicator, stream, source, new("ncclSend", (long)count, type, peer));

    [UnmanagedCallersOnly]
    private static int Receive(nint target, nuint count, int type, int peer, nint communicator, nint stream) =>
        Pass(communicator, stream, target, new("ncclRecv", (long)count, type, peer));

    [UnmanagedCallersOnly]
    private static int GroupStart() => Success;

    [UnmanagedCallersOnly]
    private static int GroupEnd() => Success;

    private static int Fail(int code, string why)
    {
        s_lastError = Encoding.UTF8.GetBytes(why + '\0');
        return code;
    }

    private static int Collect(nint communicator, nint stream, nint source, nint target, NcclCall call)
    {
        if (!Members.TryGetValue(communicator, out var member))
            return Fail(InvalidArgument, $"{call.Name} on a communicator that does not live");
        if (!member.Group.Note(member.Rank, call, out var index))
            return Fail(InvalidUsage, $"rank {member.Rank} calls {call}, another one does not");
        // Ranks on the host have no stream.
        return stream != 0 ? RunOnCard(member, stream, source, target, call) : RunOnHost(member, index, source, target, call);
    }

    private static int Pass(nint communicator, nint stream, nint data, NcclCall call)
    {
        if (!Members.TryGetValue(communicator, out var member))
            return Fail(InvalidArgument, $"{call.Name} on a communicator that does not live");
        if (member.Group.Size != 2 || call.Detail != 1 - member.Rank)
            return Fail(InvalidArgument, $"rank {member.Rank} of {member.Group.Size} and peer {call.Detail}");
        // When the order is checked, both ends of one transfer count as the same call.
        if (!member.Group.Note(member.Rank, call with { Name = "transfer", Detail = call.Name == "ncclSend" ? member.Rank : call.Detail }, out var index))
            return Fail(InvalidUsage, $"rank {member.Rank} calls {call}, the other one does not");
        return stream != 0 ? RunOnCard(member, stream, data, data, call) : RunOnHost(member, index, data, data, call);
    }

    private sealed record Member(Group Group, int Rank);

    // The ranks of a communicator.
    private sealed class Group(int size)
    {
        private readonly object _lock = new();
        private readonly List<(nint Source, nint Target)[]> _pointers = [];
        private readonly List<int> _arrived = [];
        private int _joined;
        private bool _aborted;

        public int Size => size;

        public List<NcclCall>[] Calls { get; } = [.. Enumerable.Range(0, size).Select(_ => new List<NcclCall>())];

        public CardState? Card { get; set; }

        public bool Join()
        {
            lock (_lock)
            {
                _joined++;
                Monitor.PulseAll(_lock);
                while (_joined < size)
                {
                    if (_aborted || !Monitor.Wait(_lock, Patience))
                        return false;
                }

                return true;
            }
        }

        public void Abort()
        {
            lock (_lock)
            {
                _aborted = true;
                Card?.Abort();
                Monitor.PulseAll(_lock);
            }
        }

        // Whether every rank that has come this far has made the same call.
        public bool Note(int rank, NcclCall call, out int index)
        {
            lock (_lock)
            {
                index = Calls[rank].Count;
                var at = index;
                Calls[rank].Add(call);
                return Array.TrueForAll(Calls, calls => calls.Count <= at || calls[at] == call);
            }
        }

        // Waits until all ranks are here with their memory; null if the group was aborted or a rank did not come.
        public (nint Source, nint Target)[]? Meet(int phase, int rank, nint source, nint target)
        {
            lock (_lock)
            {
                while (_pointers.Count <= phase)
                {
                    _pointers.Add(new (nint, nint)[size]);
                    _arrived.Add(0);
                }

                _pointers[phase][rank] = (source, target);
                _arrived[phase]++;
                Monitor.PulseAll(_lock);
                while (_arrived[phase] < size)
                {
                    if (_aborted || !Monitor.Wait(_lock, Patience))
                        return null;
                }

                return _pointers[phase];
            }
        }
    }
}
