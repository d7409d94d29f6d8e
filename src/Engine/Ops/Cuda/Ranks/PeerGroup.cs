using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// What ranks of one process share that reach each other's memory: every rank's region, and the word that ends all waits on the cards.
/// The last rank to leave frees everything. Thread-safe.
/// </summary>
/// <param name="size">Number of ranks.</param>
/// <param name="process">The gate of all ranks of this process.</param>
internal sealed unsafe class PeerGroup(int size, LaunchGate process)
{
    private const uint PortableAndMapped = 3;
    private readonly object _lock = new();
    private readonly PeerRegion?[] _regions = new PeerRegion?[size];
    private int _joined;
    private int _left;
    private uint* _abort; // in the host's memory, which every card reads
    private RankFailedException? _failure;

    /// <summary>Number of ranks.</summary>
    public int Size => size;

    /// <summary>Where the ranks wait for one another on the host.</summary>
    public RankGates Gates { get; init; } = new(new(size), process);

    /// <summary>Where the ranks share objects.</summary>
    public RankMeeting Meeting { get; } = new(new(size));

    /// <summary>Address of the word that tells cards whether the group was aborted. Valid once a rank has joined.</summary>
    public ulong AbortWord => (ulong)_abort;

    /// <summary>Adds a rank's memory. Called on the thread of its card.</summary>
    public void Join(int rank, PeerRegion region)
    {
        lock (_lock)
        {
            if (_abort is null)
            {
                void* word;
                CudaException.Check(CudaDriver.cuMemHostAlloc(&word, sizeof(uint), PortableAndMapped), "allocating memory that cards read");
                _abort = (uint*)word;
                *_abort = _failure is null ? 0u : 1u;
            }

            _regions[rank] = region;
            _joined++;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits until all ranks have joined; returns their memory.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    public IReadOnlyList<PeerRegion> WaitForAll()
    {
        lock (_lock)
        {
            while (_joined < size && _failure is null)
                Monitor.Wait(_lock);
        }

        ThrowIfAborted();
        return _regions!;
    }

    /// <summary>Throws if the group was aborted.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    public void ThrowIfAborted()
    {
        if (Volatile.Read(ref _failure) is { } failure)
            throw new RankFailedException(failure.Message, failure.InnerException);
    }

    /// <summary>Ends all waits on the host and on the cards. Callable from any thread.</summary>
    public void Abort(Exception reason)
    {
        lock (_lock)
        {
            _failure ??= RankFailedException.From(reason);
            if (_abort is not null)
                Volatile.Write(ref *_abort, 1);
            Monitor.PulseAll(_lock);
        }

        Gates.Close(_failure);
        Meeting.Abort(_failure);
    }

    /// <summary>Called by a rank that has joined and uses none of the group any more, on the host or on its card.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            if (++_left < _joined)
                return;
            foreach (var region in _regions)
                region?.Free();
            Array.Clear(_regions);
            _ = CudaDriver.cuMemFreeHost(_abort);
            _abort = null;
        }
    }
}
