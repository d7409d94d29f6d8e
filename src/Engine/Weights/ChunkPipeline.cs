namespace LocalLlm.Weights;

/// <summary>A piece of a slice that fits a buffer.</summary>
/// <param name="Slice">Where it is read from.</param>
/// <param name="Start">First byte in the slice.</param>
/// <param name="Bytes">How many.</param>
internal readonly record struct WeightChunk(SliceReader Slice, long Start, int Bytes);

/// <summary>
/// Fills buffers with chunks on several threads, ahead of the thread that takes them in order: chunk i is in buffer i modulo their number.
/// </summary>
internal sealed class ChunkPipeline : IDisposable
{
    private const int MaxReaders = 8;

    private readonly IReadOnlyList<WeightChunk> _chunks;
    private readonly IWeightStaging _staging;
    private readonly CancellationToken _cancellationToken;
    private readonly CancellationTokenRegistration _cancellation;
    private readonly Thread[] _readers;
    private readonly object _gate = new(); // guards what follows
    private readonly int[] _mayFill; // by buffer: the chunk whose turn it is
    private readonly int[] _filled; // by buffer: the chunk in it; -1: none yet
    private Exception? _failure;
    private int _nextToRead;
    private int _nextToTake;
    private bool _stopping;

    /// <summary>Starts to read.</summary>
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
    /// <returns>Its buffer, to be given back by <see cref="Release"/>.</returns>
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

    /// <summary>The buffer may be filled again.</summary>
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

    // A faster reader may come with a later chunk for the same buffer: turns are by chunk.
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
