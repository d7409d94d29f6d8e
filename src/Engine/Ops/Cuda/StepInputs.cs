using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Neighbouring sequences of a step that bring many rows each.</summary>
/// <param name="FirstToken">Its first row.</param>
/// <param name="Tokens">Its rows.</param>
/// <param name="Sequences">Its sequences.</param>
/// <param name="Context">Positions of all its sequences together.</param>
/// <param name="LongestQuery">Most rows of a sequence.</param>
/// <param name="LongestContext">Most positions of a sequence.</param>
/// <param name="Offset">Where its arrays begin among the step's inputs.</param>
internal readonly record struct PrefillRun(int FirstToken, int Tokens, int Sequences, int Context, int LongestQuery, int LongestContext, int Offset);

/// <summary>
/// What the kernels read of a step, brought over in one copy: [ids | rotary rows | slots | context lengths | table starts | short context
/// lengths] of every token, then what <see cref="PrefillRun"/>s need, then the block tables. All of it begins at places that follow from the
/// (padded) token count, so that a graph of that many rows finds it again.
/// </summary>
internal sealed unsafe class StepInputs(CudaDevice device) : IDisposable
{
    /// <summary>Tokens of one sequence from which on it is part of a <see cref="PrefillRun"/>.</summary>
    public const int LeastRunTokens = 16;

    /// <summary>Positions of a run that has more than one sequence: bounds what is gathered at once.</summary>
    public const int MostRunContext = 32_768;

    private const int RowArrays = 6;
    private const int IntsPerRunSequence = 5;
    private const int FirstCapacity = 1 << 16;
    private readonly List<PrefillRun> _runs = [];
    private int* _host;
    private Tensor? _device;
    private int _capacity;

    /// <summary>Token rows of the step, padding included.</summary>
    public int Rows { get; private set; }

    /// <summary>Changes whenever the device's buffer has moved.</summary>
    public int Version { get; private set; }

    /// <summary>[rows] rows of the rotary table.</summary>
    public ulong RotaryRows => Pointer(Rows);

    /// <summary>[rows] slots; negative for padding.</summary>
    public ulong Slots => Pointer(2 * Rows);

    /// <summary>[rows] positions that a row sees; 0 for padding.</summary>
    public ulong ContextLengths => Pointer(3 * Rows);

    /// <summary>[rows] where a row's block table begins in <see cref="BlockTables"/>.</summary>
    public ulong TableStarts => Pointer(4 * Rows);

    /// <summary>[rows] as <see cref="ContextLengths"/>, but 0 for rows of a <see cref="PrefillRun"/>.</summary>
    public ulong ShortContextLengths => Pointer(5 * Rows);

    /// <summary>Whether any row stands outside of <see cref="Runs"/>.</summary>
    public bool HasShortRows { get; private set; }

    /// <summary>Neighbouring sequences that bring many rows each.</summary>
    public IReadOnlyList<PrefillRun> Runs => _runs;

    /// <summary>[sequences + 1] first query row of each sequence of a run, from the run's first; of the current dispose scope.</summary>
    public Tensor QueryStarts(PrefillRun run) => Device(run.Offset, run.Sequences + 1);

    /// <summary>[sequences + 1] first position of each sequence when the run's contexts are laid one after the other.</summary>
    public Tensor ContextStarts(PrefillRun run) => Device(run.Offset + run.Sequences + 1, run.Sequences + 1);

    /// <summary>[sequences] where the block table of each sequence of a run begins.</summary>
    public ulong SequenceTableStarts(PrefillRun run) => Pointer(run.Offset + (2 * (run.Sequences + 1)));

    /// <summary>All block tables, one after the other. At a place of its own, so that graphs find it.</summary>
    public ulong BlockTables { get; private set; }

    /// <summary>[count] token ids as an int32 tensor of the current dispose scope.</summary>
    public Tensor Ids => Device(0, Rows);

    /// <summary>Lays a step out and starts its copy to the device.</summary>
    /// <param name="ids">One per token.</param>
    /// <param name="metadata">The step.</param>
    /// <param name="rows">Token rows, at least the tokens; more are padding.</param>
    public void Upload(ReadOnlySpan<int> ids, AttentionMetadata metadata, int rows)
    {
        // The runs' share is bounded by the rows, so that the tables of a graph of that many rows stay where they are.
        var tablesAt = (RowArrays + IntsPerRunSequence) * rows;
        EnsureCapacity(tablesAt + metadata.BlockTables.Count);

        // The copy of the step before may still read the host's buffer.
        device.Synchronize();
        Rows = rows;
        var all = new Span<int>(_host, tablesAt + metadata.BlockTables.Count);
        Fill(all[..rows], ids, 0);
        Fill(all.Slice(rows, rows), metadata.RotaryRows.Span, 0);
        Fill(all.Slice(2 * rows, rows), metadata.SlotMapping.Span, -1);
        FillContexts(metadata.Sequences.Span, all.Slice(3 * rows, rows), all.Slice(4 * rows, rows), all.Slice(5 * rows, rows));
        FillRuns(metadata.Sequences.Span, all);
        metadata.BlockTables.Span.CopyTo(all[tablesAt..]);
        BlockTables = Pointer(tablesAt);
        CudaException.Check(CudaDriver.cuMemcpyHtoDAsync_v2(Pointer(0), _host, (nuint)all.Length * sizeof(int), device.Stream), "copying a step's inputs");
    }

    /// <inheritdoc/>
    public void Dispose() => Free();

    private void EnsureCapacity(int count)
    {
        if (count <= _capacity)
            return;
        device.Synchronize();
        var capacity = Math.Max(count, Math.Max(FirstCapacity, 2 * _capacity));
        void* host;
        CudaException.Check(CudaDriver.cuMemAllocHost_v2(&host, (nuint)capacity * sizeof(int)), "allocating pinned memory");
        Free();
        _host = (int*)host;
        _device = empty(capacity, ScalarType.Int32, device.Torch).DetachFromDisposeScope();
        _capacity = capacity;
        Version++;
    }

    private void Free()
    {
        if (_host is not null)
            _ = CudaDriver.cuMemFreeHost(_host);
        _host = null;
        _device?.Dispose();
        _device = null;
        _capacity = 0;
    }

    private void FillContexts(ReadOnlySpan<SequenceSpan> sequences, Span<int> lengths, Span<int> tableStarts, Span<int> shortLengths)
    {
        lengths.Clear();
        tableStarts.Clear();
        shortLengths.Clear();
        HasShortRows = false;
        foreach (var sequence in sequences)
        {
            var isShort = sequence.TokenCount < LeastRunTokens;
            HasShortRows |= isShort;
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
            if (sequences[first].TokenCount < LeastRunTokens)
                continue;
            var (end, context) = (first, 0L);
            while (end < sequences.Length && sequences[end].TokenCount >= LeastRunTokens && (end == first || context + sequences[end].ContextLength <= MostRunContext))
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
