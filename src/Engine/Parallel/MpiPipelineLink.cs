using LocalLlm.Interop;
using LocalLlm.Interop.Mpi;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// Connects stages that are processes of one mpirun. MPI moves large messages only during calls to it, so a thread keeps calling while a
/// message is being sent.
/// </summary>
internal sealed unsafe class MpiPipelineLink : IPipelineLink
{
    private const int Tag = 1;

    private readonly MpiWorld _world;
    private readonly int _peer;
    private readonly Lock _lock = new();
    private readonly Queue<(nint Request, NativeBuffer<byte> Buffer)> _sending = [];
    private readonly Stack<NativeBuffer<byte>> _spare = [];
    private readonly SemaphoreSlim _hasWork = new(0);
    private Thread? _mover;
    private Exception? _aborted;
    private bool _disposed;

    /// <param name="world">All processes.</param>
    /// <param name="peer">The rank on the other side.</param>
    public MpiPipelineLink(MpiWorld world, int peer) => (_world, _peer) = (world, peer);

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        ThrowIfAborted();
        var bytes = checked((int)(hidden.NumberOfElements * hidden.element_size()));
        lock (_lock)
        {
            var buffer = _spare.TryPop(out var used) ? used : new NativeBuffer<byte>();
            buffer.Resize(bytes);
            Buffer.MemoryCopy(hidden.DataPointer(), buffer.Pointer, bytes, bytes);
            _sending.Enqueue((_world.Send(buffer.Pointer, bytes, _peer, Tag), buffer));
            if (_mover is null)
            {
                _mover = new(Move) { IsBackground = true, Name = "LocalLlm MPI sends" };
                _mover.Start();
            }
        }

        _hasWork.Release();
    }

    /// <inheritdoc/>
    public Tensor Receive(long tokens, long width, ScalarType type)
    {
        ThrowIfAborted();
        var hidden = empty([tokens, width], type);
        var request = _world.Receive(hidden.DataPointer(), checked((int)(hidden.NumberOfElements * hidden.element_size())), _peer, Tag);
        var wait = default(PollingWait);
        while (!MpiWorld.IsDone(ref request))
        {
            ThrowIfAborted();
            wait.Once();
        }

        return hidden;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        Interlocked.CompareExchange(ref _aborted, reason, null);
        _hasWork.Release();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Volatile.Write(ref _disposed, true);
        _hasWork.Release();
        _mover?.Join();
        // MPI may read unfinished messages until the process ends, so only spare buffers are freed.
        foreach (var buffer in _spare)
            buffer.Dispose();
    }

    private void Move()
    {
        while (true)
        {
            _hasWork.Wait();
            if (IsOver || !MoveOne())
                return;
        }
    }

    private bool IsOver => Volatile.Read(ref _disposed) || Volatile.Read(ref _aborted) is not null;

    private bool MoveOne()
    {
        (nint Request, NativeBuffer<byte> Buffer) oldest;
        lock (_lock)
        {
            if (!_sending.TryDequeue(out oldest))
                return true;
        }

        var wait = default(PollingWait);
        try
        {
            while (!MpiWorld.IsDone(ref oldest.Request))
            {
                if (IsOver)
                    return false;
                wait.Once();
            }
        }
        catch (EngineException failure)
        {
            Abort(failure);
            return false;
        }

        lock (_lock)
            _spare.Push(oldest.Buffer);
        return true;
    }

    private void ThrowIfAborted()
    {
        if (Volatile.Read(ref _aborted) is { } reason)
            throw new RankFailedException("The pipeline was aborted.", reason);
    }
}
