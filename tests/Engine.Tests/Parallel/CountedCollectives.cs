using System.Collections.Concurrent;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Parallel;

/// <summary>What a rank contributed to a gather of its group.</summary>
/// <param name="Rows">Rows of its tensor.</param>
/// <param name="Columns">Columns of its tensor.</param>
/// <param name="Bytes">Bytes of its tensor.</param>
internal readonly record struct GatherCall(long Rows, long Columns, long Bytes);

/// <summary>A rank's end of a group, which records what the rank gathers.</summary>
internal sealed class CountedCollectives(ICollectives inner) : ICollectives
{
    private readonly ConcurrentQueue<GatherCall> _gathers = new();

    /// <summary>The gathers, in the order of the calls.</summary>
    public IReadOnlyList<GatherCall> Gathers => [.. _gathers];

    public int Rank => inner.Rank;

    public int WorldSize => inner.WorldSize;

    public Tensor AllReduce(Tensor tensor) => inner.AllReduce(tensor);

    public void AddAllReduced(Tensor residual, Tensor part) => inner.AddAllReduced(residual, part);

    public Tensor AllGather(Tensor tensor, int dimension)
    {
        Note(tensor);
        return inner.AllGather(tensor, dimension);
    }

    public Tensor AllGatherColumns(Tensor tensor, long share, long total)
    {
        Note(tensor);
        return inner.AllGatherColumns(tensor, share, total);
    }

    public Tensor AllGatherRows(Tensor tensor, IReadOnlyList<int> rows) => inner.AllGatherRows(tensor, rows);

    public void AddReducedRows(Tensor residual, Tensor part, long firstRow) => inner.AddReducedRows(residual, part, firstRow);

    public TResult Share<T, TResult>(T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class => inner.Share(own, work);

    public Tensor? Gather(Tensor tensor, int dimension)
    {
        Note(tensor);
        return inner.Gather(tensor, dimension);
    }

    public void Abort(Exception reason) => inner.Abort(reason);

    public void Dispose() => inner.Dispose();

    private void Note(Tensor tensor) => _gathers.Enqueue(new(tensor.size(0), tensor.size(1), tensor.numel() * tensor.dtype.ElementSize()));
}
