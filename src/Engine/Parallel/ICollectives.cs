using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>
/// What the ranks of one tensor-parallel group do together. Every rank calls the same methods in the same order with tensors of the same
/// shapes and types; results are tensors of the current dispose scope, or the argument itself where nothing is to be done. Sums add the
/// ranks' parts in the order of the ranks, so that every rank gets the same bits.
/// </summary>
/// <remarks>
/// One thread calls all methods but <see cref="Abort"/>; a device works on its own stream, and the call may return before it has.
/// </remarks>
internal interface ICollectives : IDisposable
{
    /// <summary>This rank, from 0.</summary>
    int Rank { get; }

    /// <summary>Ranks in the group.</summary>
    int WorldSize { get; }

    /// <summary>Sum of every rank's tensor of one shape. The argument may be overwritten, and may be the result.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllReduce(Tensor tensor);

    /// <summary>residual += sum of every rank's <paramref name="part"/>, in place. The part may be overwritten.</summary>
    /// <param name="residual">[tokens, width], the same on all ranks before and after.</param>
    /// <param name="part">[tokens, width].</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    void AddAllReduced(Tensor residual, Tensor part) => residual.AddInPlace(AllReduce(part));

    /// <summary>Every rank's tensor, joined along <paramref name="dimension"/> in the order of the ranks.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllGather(Tensor tensor, int dimension);

    /// <summary>As <see cref="AllGather"/> along the columns, of which the last rank may have fewer.</summary>
    /// <param name="tensor">[rows, this rank's columns].</param>
    /// <param name="share">Columns of every rank but the last.</param>
    /// <param name="total">Columns of all.</param>
    /// <returns>[rows, total], contiguous.</returns>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor AllGatherColumns(Tensor tensor, long share, long total)
    {
        var padded = tensor.size(1) == share ? tensor : nn.functional.pad(tensor, [0, share - tensor.size(1)]);
        var whole = AllGather(padded, 1);
        return whole.size(1) == total ? whole : whole.narrow(1, 0, total).contiguous();
    }

    /// <summary>Rows of every rank, of which each may have another number, joined in the order of the ranks.</summary>
    /// <param name="tensor">[this rank's rows, width], contiguous.</param>
    /// <param name="rows">Rows of every rank; the same on all.</param>
    /// <returns>[rows of all, width], contiguous.</returns>
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
    /// residual += some rows of the sum of every rank's <paramref name="part"/>, in place (a reduce-scatter). The part may be overwritten.
    /// </summary>
    /// <param name="residual">[tokens, width]; another number of tokens on each rank, also none.</param>
    /// <param name="part">[at least first row + tokens, width], the same shape on all ranks.</param>
    /// <param name="firstRow">Of the part's rows the first that is this rank's.</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    void AddReducedRows(Tensor residual, Tensor part, long firstRow) => residual.AddInPlace(AllReduce(part).narrow(0, firstRow, residual.size(0)));

    /// <summary>
    /// Shows something to all ranks, where they are of one process, and does something with what all of them show. What a rank shows stays
    /// as it is until all of them have done that.
    /// </summary>
    /// <param name="own">What this rank shows.</param>
    /// <param name="work">Gets what the ranks show, in their order, and changes nothing of it.</param>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    /// <exception cref="NotSupportedException">The ranks are no threads of one process.</exception>
    TResult Share<T, TResult>(T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class => WorldSize == 1 ? work([own]) : throw new NotSupportedException("only ranks of one process show each other what they have");

    /// <summary>As <see cref="AllGather"/>, for rank 0 alone; null on the others.</summary>
    /// <exception cref="RankFailedException">The group was aborted.</exception>
    Tensor? Gather(Tensor tensor, int dimension) => Rank == 0 ? AllGather(tensor, dimension) : Discard(AllGather(tensor, dimension));

    /// <summary>
    /// Ends what waits here, on this rank and, where it can reach them, on the others: their calls throw <see cref="RankFailedException"/>,
    /// now and later. Any thread.
    /// </summary>
    /// <param name="reason">What has failed; the first reason stays.</param>
    void Abort(Exception reason);

    private static Tensor? Discard(Tensor tensor)
    {
        tensor.Dispose();
        return null;
    }
}
