namespace LocalLlm.Weights;

/// <summary>A piece of a slice that fits a buffer.</summary>
/// <param name="Slice">The slice to read from.</param>
/// <param name="Start">First byte in the slice.</param>
/// <param name="Bytes">Number of bytes.</param>
internal readonly record struct WeightChunk(SliceReader Slice, long Start, int Bytes);

/// <summary>
/// Fills buffers with chunks on several threads, ahead of the thread that takes the chunks in order. Chunk i goes to buffer i modulo the
/// number of buffers.
/// </summary>
internal sealed class ChunkPipeline : IDisposable
{
    private const int MaxReaders = 8;

    private readonly IReadOnlyList<WeightChunk> _chunks;
    private readonly IWeightStaging _staging;
    private readonly CancellationToken _cancellationToken;
    private readonly CancellationTokenRegistration _cancellation;
    private readonly Thread[] _readers;
    private readonly object _gate = new(); // guards the fields below
    private readonly int[] _mayFill; // per buffer: the chunk that may fill it next
    private readonly int[] _filled; // per buffer: the chunk in it; -1: none yet
    private Exception? _failure;
    private int _nextToRead;
    private int _nextToTake;
    private bool _stopping;

    /// <summary>Starts reading.</summary>
    public ChunkPipeline(IReadOnlyList<WeightChunk> chunks, IWeightStaging staging, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(staging.Buffers, 2);
        _chunks = chunks;
        _staging = staging;
        _cancellationToken = cancellationToken;
        _mayFill = [.. Enumerable.Range(0, staging.Buffers)];
        _filled = [.. Enumerable.Repeat(-1, staging.Buffers)];
        _readers = [.. Enumerable.Range(0, Math.Min(MaxReaders, Environment.ProcessorCount)).Select(_ => new Thread(ReadAll) { IsBackground = true, Name = "LocalLlm weights" })];
        foreach (var reader in _readers)
            reader.Start();
        _cancellation = cancellationToken.Register(Stop);
    }

    /// <summary>Waits for the next chunk in order.</summary>
    /// <returns>Its buffer, to be released with <see cref="Release"/>.</returns>
    /// <exception cref="EngineException">A file could not be read.</exception>
    /// <exception cref="OperationCanceledException">Loading was cancelled.</exception>
    public int Take()
    {
        var chunk = _nextToTake++;
        var buffer = chunk % _staging.Buffers;
        lock (_gate)
        {
            while (_filled[buffer] != chunk && !_stopping)
                Monitor.Wait(_gate);
            if (_failure is { } failure)
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
            _cancellationToken.ThrowIfCancellationRequested();
        }

        return buffer;
    }

    /// <summary>Allows the buffer to be filled again.</summary>
    public void Release(int buffer)
    {
        lock (_gate)
        {
            _mayFill[buffer] += _staging.Buffers;
            Monitor.PulseAll(_gate);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        foreach (var reader in _readers)
            reader.Join();
        _cancellation.Dispose();
    }

    private void Stop()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }
    }

    private void ReadAll()
    {
        try
        {
            while (NextChunk() is var i && i < _chunks.Count)
            {
                var (chunk, buffer) = (_chunks[i], i % _staging.Buffers);
                if (!WaitForTurn(i, buffer))
                    return;
                chunk.Slice.Read(chunk.Start, _staging.Buffer(buffer)[..chunk.Bytes]);
                lock (_gate)
                {
                    _filled[buffer] = i;
                    Monitor.PulseAll(_gate);
                }
            }
        }
        catch (Exception failure)
        {
            lock (_gate)
                _failure ??= failure;
            Stop();
        }
    }

    private int NextChunk() => Interlocked.Increment(ref _nextToRead) - 1;

    // A faster thread may arrive with a later chunk for the same buffer, so a chunk waits for its own turn.
    private bool WaitForTurn(int chunk, int buffer)
    {
        lock (_gate)
        {
            while (_mayFill[buffer] != chunk && !_stopping)
                Monitor.Wait(_gate);
            return !_stopping;
        }
    }
}
