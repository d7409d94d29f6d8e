using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// Collective operations of the ranks of one tensor-parallel group. Every rank calls the same methods in the same order with tensors of
/// the same shapes and types. Results are tensors of the current dispose scope, or the argument itself if there is nothing to do. Sums add
/// the ranks' parts in rank order, so that every rank gets the same bits.
/// </summary>
/// <remarks>
/// One thread calls all methods except <see cref="Abort"/>. A device works on its own stream, and a call may return before the device has
/// finished.
/// </remarks>
internal interface ICollectives : IDisposable
{
    /// <summary>This rank, from 0.</summary>
    int Rank { get; }

    /// <summary>Number of ranks in the group.</summary>
    int WorldSize { get; }

    /// <summary>Sums every rank's tensor of one shape. The argument may be overwritten, and may be the result.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllReduce(Tensor tensor);

    /// <summary>Computes residual += sum of every rank's <paramref name="part"/>, in place. The part may be overwritten.</summary>
    /// <param name="residual">[tokens, width], the same on all ranks before and after.</param>
    /// <param name="part">[tokens, width].</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    void AddAllReduced(Tensor residual, Tensor part) => residual.AddInPlace(AllReduce(part));

    /// <summary>Joins every rank's tensor along <paramref name="dimension"/> in rank order.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllGather(Tensor tensor, int dimension);

    /// <summary>Like <see cref="AllGather"/> along the columns, of which the last rank may have fewer.</summary>
    /// <param name="tensor">[rows, this rank's columns].</param>
    /// <param name="share">Number of columns of every rank but the last.</param>
    /// <param name="total">Number of columns of all ranks.</param>
    /// <returns>[rows, total], contiguous.</returns>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllGatherColumns(Tensor tensor, long share, long total)
    {
        var padded = tensor.size(1) == share ? tensor : nn.functional.pad(tensor, [0, share - tensor.size(1)]);
        var whole = AllGather(padded, 1);
        return whole.size(1) == total ? whole : whole.narrow(1, 0, total).contiguous();
    }

    /// <summary>Joins every rank's rows in rank order; ranks may have different numbers of rows.</summary>
    /// <param name="tensor">[this rank's rows, width], contiguous.</param>
    /// <param name="rows">Number of rows of every rank; the same list on all ranks.</param>
    /// <returns>[rows of all ranks, width], contiguous.</returns>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllGatherRows(Tensor tensor, IReadOnlyList<int> rows)
    {
        long most = rows.Max();
        if (most == 0)
            return tensor;
        using var padded = tensor.size(0) == most ? tensor.alias() : nn.functional.pad(tensor, [0, 0, 0, most - tensor.size(0)]);
        using var whole = AllGather(padded, 0);
        return GroupRows.Join(whole, rows);
    }

    /// <summary>
    /// Computes residual += this rank's rows of the sum of every rank's <paramref name="part"/>, in place (a reduce-scatter). The part may
    /// be overwritten.
    /// </summary>
    /// <param name="residual">[tokens, width]; the number of tokens may differ between ranks, and may be 0.</param>
    /// <param name="part">[at least first row + tokens, width], the same shape on all ranks.</param>
    /// <param name="firstRow">Index of this rank's first row in the part.</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    void AddReducedRows(Tensor residual, Tensor part, long firstRow) => residual.AddInPlace(AllReduce(part).narrow(0, firstRow, residual.size(0)));

    /// <summary>
    /// Shows an object to all ranks of one process, and runs a function over the objects of all ranks. A rank's object must stay unchanged
    /// until all ranks have run their function.
    /// </summary>
    /// <param name="own">This rank's object.</param>
    /// <param name="work">Gets the objects of all ranks, in rank order, and must not change them.</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    /// <exception cref="NotSupportedException">The ranks are not threads of one process.</exception>
    TResult Share<T, TResult>(T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class => WorldSize == 1 ? work([own]) : throw new NotSupportedException("only ranks of one process show each other what they have");

    /// <summary>Like <see cref="AllGather"/>, but only rank 0 gets the result; null on the others.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor? Gather(Tensor tensor, int dimension) => Rank == 0 ? AllGather(tensor, dimension) : Discard(AllGather(tensor, dimension));

    /// <summary>
    /// Ends every wait here, on this rank and, where reachable, on the others: their calls throw <see cref="RankFailedException"/>, now
    /// and later. May be called on any thread.
    /// </summary>
    /// <param name="reason">What has failed; the first reason counts.</param>
    void Abort(Exception reason);

    private static Tensor? Discard(Tensor tensor)
    {
        tensor.Dispose();
        return null;
    }
}
