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
    private const int MostReaders = 8;

    private readonly IReadOnlyList<WeightChunk> _chunks;
    private readonly IWeightStaging _staging;
    private readonly SemaphoreSlim[] _free;
    private readonly SemaphoreSlim[] _filled;
    private readonly CancellationTokenSource _stop;
    private readonly Thread[] _readers;
    private Exception? _failure;
    private int _nextToRead = -1;
    private int _nextToTake;

    /// <summary>Starts to read.</summary>
    public ChunkPipeline(IReadOnlyList<WeightChunk> chunks, IWeightStaging staging, CancellationToken cancellationToken)
    {
        _chunks = chunks;
        _staging = staging;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _free = [.. Enumerable.Range(0, staging.Buffers).Select(_ => new SemaphoreSlim(1))];
        _filled = [.. Enumerable.Range(0, staging.Buffers).Select(_ => new SemaphoreSlim(0))];
        _readers = [.. Enumerable.Range(0, Math.Min(MostReaders, Environment.ProcessorCount)).Select(_ => new Thread(ReadAll) { IsBackground = true, Name = "LocalLlm weights" })];
        foreach (var reader in _readers)
            reader.Start();
    }

    /// <summary>Waits for the next chunk in order.</summary>
    /// <returns>Its buffer, to be given back by <see cref="Release"/>.</returns>
    /// <exception cref="EngineException">A file could not be read.</exception>
    /// <exception cref="OperationCanceledException">Loading was cancelled.</exception>
    public int Take()
    {
        var buffer = _nextToTake++ % _staging.Buffers;
        try
        {
            _filled[buffer].Wait(_stop.Token);
        }
        catch (OperationCanceledException) when (Volatile.Read(ref _failure) is { } failure)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }

        return buffer;
    }

    /// <summary>The buffer may be filled again.</summary>
    public void Release(int buffer) => _free[buffer].Release();

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Cancel();
        foreach (var reader in _readers)
            reader.Join();
        foreach (var semaphore in _free.Concat(_filled))
            semaphore.Dispose();
        _stop.Dispose();
    }

    private void ReadAll()
    {
        try
        {
            for (int i; (i = Interlocked.Increment(ref _nextToRead)) < _chunks.Count;)
            {
                var buffer = i % _staging.Buffers;
                _free[buffer].Wait(_stop.Token);
                var chunk = _chunks[i];
                chunk.Slice.Read(chunk.Start, _staging.Buffer(buffer)[..chunk.Bytes]);
                _filled[buffer].Release();
            }
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception failure)
        {
            Interlocked.CompareExchange(ref _failure, failure, null);
            _stop.Cancel();
        }
    }
}
