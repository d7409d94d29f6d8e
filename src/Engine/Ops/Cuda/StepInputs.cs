using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>A run of adjacent sequences of a step that have many rows each.</summary>
/// <param name="FirstToken">First row of the run.</param>
/// <param name="Tokens">Number of rows.</param>
/// <param name="Sequences">Number of sequences.</param>
/// <param name="Context">Number of positions of all its sequences together.</param>
/// <param name="LongestQuery">Max number of rows of a sequence.</param>
/// <param name="LongestContext">Max number of positions of a sequence.</param>
/// <param name="Offset">Where the run's arrays begin among the step's inputs.</param>
internal readonly record struct PrefillRun(int FirstToken, int Tokens, int Sequences, int Context, int LongestQuery, int LongestContext, int Offset);

/// <summary>
/// What the kernels read about a step, sent to the card in one copy: [ids | rotary rows | slots | context lengths | table starts | short
/// context lengths] of every token, then the arrays of the <see cref="PrefillRun"/>s, then the block tables. The place of each array
/// depends only on the (padded) token count, so a graph for that many rows finds it again.
/// </summary>
/// <param name="device">The card.</param>
/// <param name="stepsInFlight">Max number of steps whose copies may be queued.</param>
internal sealed unsafe class StepInputs(CudaDevice device, int stepsInFlight) : IDisposable
{
    /// <summary>Number of tokens from which on a sequence is part of a <see cref="PrefillRun"/>.</summary>
    public const int MinRunTokens = 16;

    /// <summary>Max number of positions of a run with more than one sequence: bounds what is gathered at once.</summary>
    public const int MaxRunContext = 32_768;

    private const int RowArrays = 6;
    private const int IntsPerRunSequence = 5;
    private const int SelectionsPerRow = 3;
    private const int FirstCapacity = 1 << 16;
    private const int MaxReservedTables = 1 << 22;
    private readonly List<PrefillRun> _runs = [];

    // Used in turn: the card may still copy from the buffers of earlier steps.
    private readonly PinnedBuffer[] _hosts = [.. Enumerable.Range(0, stepsInFlight).Select(_ => new PinnedBuffer(device))];
    private int _turn;
    private int _reservedTables;
    private Tensor? _device;
    private int _capacity;
    private int _nextSelection; // where the next Select writes

    /// <summary>Number of token rows of the step, padding included.</summary>
    public int Rows { get; private set; }

    /// <summary>Whether some rows are padding; their context lengths are 0.</summary>
    public bool HasPadding { get; private set; }

    /// <summary>Changes whenever the device's buffer has moved.</summary>
    public int Version { get; private set; }

    /// <summary>[rows] each row's row of the rotary table.</summary>
    public ulong RotaryRows => Pointer(Rows);

    /// <summary>[rows] slots; negative for padding.</summary>
    public ulong Slots => Pointer(2 * Rows);

    /// <summary>[rows] number of positions that a row sees; 0 for padding.</summary>
    public ulong ContextLengths => Pointer(3 * Rows);

    /// <summary>[rows] where a row's block table begins in <see cref="BlockTables"/>.</summary>
    public ulong TableStarts => Pointer(4 * Rows);

    /// <summary>[rows] as <see cref="ContextLengths"/>, but 0 for rows of a <see cref="PrefillRun"/>.</summary>
    public ulong ShortContextLengths => Pointer(5 * Rows);

    /// <summary>The row after the last one outside of <see cref="Runs"/>; 0: all rows are in runs.</summary>
    public int ShortRowsEnd { get; private set; }

    /// <summary>The runs of adjacent sequences that have many rows each.</summary>
    public IReadOnlyList<PrefillRun> Runs => _runs;

    /// <summary>[sequences + 1] first query row of each sequence, relative to the run's first; of the current dispose scope.</summary>
    public Tensor QueryStarts(PrefillRun run) => Device(run.Offset, run.Sequences + 1);

    /// <summary>[sequences + 1] first position of each sequence in the concatenated contexts of the run.</summary>
    public Tensor ContextStarts(PrefillRun run) => Device(run.Offset + run.Sequences + 1, run.Sequences + 1);

    /// <summary>[sequences] where the block table of each sequence of a run begins.</summary>
    public ulong SequenceTableStarts(PrefillRun run) => Pointer(run.Offset + (2 * (run.Sequences + 1)));

    /// <summary>All block tables, one after the other, at a fixed place for graphs.</summary>
    public ulong BlockTables { get; private set; }

    /// <summary>Whether any of these rows is outside of <see cref="Runs"/>.</summary>
    public bool HasShortRows(int first, int end)
    {
        var row = first;
        foreach (var run in _runs)
        {
            if (run.FirstToken <= row && row < run.FirstToken + run.Tokens)
                row = run.FirstToken + run.Tokens;
        }

        return row < Math.Min(end, ShortRowsEnd);
    }

    /// <summary>[count] token ids, or <see cref="SampledInput"/>s, as an int32 tensor of the current dispose scope.</summary>
    public Tensor Ids => Device(0, Rows);

    /// <summary>Lays a step out and starts its copy to the device.</summary>
    /// <param name="ids">One per token.</param>
    /// <param name="metadata">The step.</param>
    /// <param name="rows">Number of token rows, at least the number of tokens; the rest is padding.</param>
    public void Upload(ReadOnlySpan<int> ids, AttentionMetadata metadata, int rows)
    {
        // The runs get room for the max that this many rows need: the tables of a graph of that many rows stay where they are.
        var tablesAt = (RowArrays + IntsPerRunSequence) * rows;
        var count = tablesAt + metadata.BlockTables.Count;
        EnsureCapacity(tablesAt + Math.Max(metadata.BlockTables.Count, _reservedTables) + (SelectionsPerRow * rows));
        _turn = (_turn + 1) % _hosts.Length;
        var host = _hosts[_turn];
        host.Reserve((nuint)_capacity * sizeof(int));
        _nextSelection = count;
        (Rows, HasPadding) = (rows, rows > ids.Length);
        var all = new Span<int>(host.Memory, count);
        Fill(all[..rows], ids, 0);
        Fill(all.Slice(rows, rows), metadata.PositionRows.Span, 0);
        Fill(all.Slice(2 * rows, rows), metadata.SlotMapping.Span, -1);
        FillContexts(metadata.Sequences.Span, all.Slice(3 * rows, rows), all.Slice(4 * rows, rows), all.Slice(5 * rows, rows));
        FillRuns(metadata.Sequences.Span, all);
        metadata.BlockTables.Span.CopyTo(all[tablesAt..]);
        BlockTables = Pointer(tablesAt);
        Copy(host, 0, count);
    }

    /// <summary>Reserves room for block tables of this many blocks: no step has to grow the buffer.</summary>
    public void Reserve(long blocks) => _reservedTables = (int)Math.Min(blocks, MaxReservedTables);

    /// <summary>Copies row numbers to the card; they stay until the next <see cref="Upload"/>.</summary>
    /// <param name="rows">At most three times the step's rows, over all calls of a step.</param>
    public ulong Select(ReadOnlySpan<int> rows)
    {
        var start = _nextSelection;
        _nextSelection += rows.Length;
        if (_nextSelection > _capacity)
            throw new InvalidOperationException($"{rows.Length} more rows were selected than the step has room for.");
        rows.CopyTo(new Span<int>((int*)_hosts[_turn].Memory + start, rows.Length));
        Copy(_hosts[_turn], start, rows.Length);
        return Pointer(start);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var host in _hosts)
            host.Dispose();
        _device?.Dispose();
        _device = null;
        _capacity = 0;
    }

    private void Copy(PinnedBuffer host, int start, int count)
    {
        CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2(Pointer(start), (int*)host.Memory + start, (nuint)count * sizeof(int), device.Stream), "copying a step's inputs");
        host.MarkUsed();
    }

    private void EnsureCapacity(int count)
    {
        if (count <= _capacity)
            return;
        var capacity = Math.Max(count, Math.Max(FirstCapacity, 2 * _capacity));
        var larger = empty(capacity, ScalarType.Int32, device.Torch).DetachFromDisposeScope();
        _device?.Dispose();
        (_device, _capacity) = (larger, capacity);
        Version++;
    }

    private void FillContexts(ReadOnlySpan<SequenceSpan> sequences, Span<int> lengths, Span<int> tableStarts, Span<int> shortLengths)
    {
        lengths.Clear();
        tableStarts.Clear();
        shortLengths.Clear();
        ShortRowsEnd = 0;
        foreach (var sequence in sequences)
        {
            var isShort = sequence.TokenCount < MinRunTokens;
            if (isShort)
                ShortRowsEnd = sequence.FirstToken + sequence.TokenCount;
            var firstPosition = sequence.ContextLength - sequence.TokenCount;
            for (var i = 0; i < sequence.TokenCount; i++)
            {
                var row = sequence.FirstToken + i;
                lengths[row] = firstPosition + i + 1;
                shortLengths[row] = isShort ? lengths[row] : 0;
                tableStarts[row] = sequence.BlockTableStart;
            }
        }
    }

    private void FillRuns(ReadOnlySpan<SequenceSpan> sequences, Span<int> all)
    {
        _runs.Clear();
        var offset = RowArrays * Rows;
        for (var first = 0; first < sequences.Length; first++)
        {
            if (sequences[first].TokenCount < MinRunTokens)
                continue;
            var (end, context) = (first, 0L);
            while (end < sequences.Length && sequences[end].TokenCount >= MinRunTokens && (end == first || context + sequences[end].ContextLength <= MaxRunContext))
                context += sequences[end++].ContextLength;
            var run = Run(sequences[first..end], all[offset..], offset);
            _runs.Add(run);
            offset += (3 * run.Sequences) + 2;
            first = end - 1;
        }
    }

    private static PrefillRun Run(ReadOnlySpan<SequenceSpan> sequences, Span<int> target, int offset)
    {
        var count = sequences.Length;
        var (tokens, context, longestQuery, longestContext) = (0, 0, 0, 0);
        for (var i = 0; i < count; i++)
        {
            target[i] = tokens;
            target[count + 1 + i] = context;
            target[(2 * (count + 1)) + i] = sequences[i].BlockTableStart;
            tokens += sequences[i].TokenCount;
            context += sequences[i].ContextLength;
            longestQuery = Math.Max(longestQuery, sequences[i].TokenCount);
            longestContext = Math.Max(longestContext, sequences[i].ContextLength);
        }

        target[count] = tokens;
        target[(2 * count) + 1] = context;
        return new(sequences[0].FirstToken, tokens, count, context, longestQuery, longestContext, offset);
    }

    private static void Fill(Span<int> target, ReadOnlySpan<int> source, int padding)
    {
        source.CopyTo(target);
        target[source.Length..].Fill(padding);
    }

    private Tensor Device(int start, int count) => _device!.narrow(0, start, count);

    private ulong Pointer(int index) => (ulong)_device!.DataPointer() + ((ulong)index * sizeof(int));
}
