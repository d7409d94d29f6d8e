using LocalLlm.Interop;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// Collectives by NCCL, on the device's stream; they can be recorded. NCCL chooses the order of additions, the same for all ranks.
/// </summary>
/// <param name="communicator">This rank's end, owned.</param>
/// <param name="meeting">Where the ranks share objects; null: some ranks are in other processes.</param>
internal sealed unsafe class NcclCollectives(NcclCommunicator communicator, RankMeeting? meeting = null) : ICollectives, IDeviceBound
{
    /// <inheritdoc/>
    public int Rank => communicator.Rank;

    /// <inheritdoc/>
    public int WorldSize => communicator.Size;

    /// <inheritdoc/>
    public void Bind(IDeviceOps ops) => communicator.Bind(ops);

    /// <inheritdoc/>
    public Tensor AllReduce(Tensor tensor)
    {
        var (data, count, type) = ((nint)tensor.DataPointer(), tensor.numel(), NcclCommunicator.TypeOf(tensor.dtype));
        communicator.Run((library, handle, stream) => library.AllReduce(data, data, count, type, handle, stream));
        return tensor;
    }

    /// <inheritdoc/>
    public Tensor AllGather(Tensor tensor, int dimension)
    {
        var (rows, width) = (tensor.size(0), tensor.size(1));
        var isInPlace = dimension == 0 || rows == 1;
        var slot = isInPlace ? WorkspaceSlot.Gathered : WorkspaceSlot.GatheredParts;
        var parts = communicator.Device.Rent(slot, rows * WorldSize, width, tensor.dtype);
        var result = isInPlace ? parts : communicator.Device.Rent(WorkspaceSlot.Gathered, rows, WorldSize * width, tensor.dtype);
        var (source, target) = ((nint)tensor.DataPointer(), (nint)parts.DataPointer());
        var (count, type) = (tensor.numel(), NcclCommunicator.TypeOf(tensor.dtype));
        communicator.Run((library, handle, stream) => library.AllGather(source, target, count, type, handle, stream));
        if (dimension == 0)
            return result;
        if (isInPlace)
            return result.view(1, WorldSize * width);
        // [ranks, rows, width] → [rows, ranks · width]
        using var scope = NewDisposeScope();
        result.view(rows, WorldSize, width).copy_(parts.view(WorldSize, rows, width).transpose(0, 1));
        return result.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor AllGatherColumns(Tensor tensor, long share, long total)
    {
        if (share * WorldSize == total)
            return AllGather(tensor, 1);
        // Rented buffers do not move: this can be recorded.
        var (rows, own, device) = (tensor.size(0), tensor.size(1), communicator.Device);
        var parts = device.Rent(WorkspaceSlot.GatheredParts, (WorldSize + 1) * rows, share, tensor.dtype);
        var result = device.Rent(WorkspaceSlot.Gathered, rows, total, tensor.dtype);
        using var scope = NewDisposeScope();
        var padded = parts.narrow(0, WorldSize * rows, rows);
        padded.narrow(1, 0, own).copy_(tensor);
        var (source, target) = ((nint)padded.DataPointer(), (nint)parts.DataPointer());
        var (count, type) = (rows * share, NcclCommunicator.TypeOf(tensor.dtype));
        communicator.Run((library, handle, stream) => library.AllGather(source, target, count, type, handle, stream));
        for (var rank = 0; rank < WorldSize; rank++)
        {
            var columns = Math.Min(share, total - (rank * share));
            result.narrow(1, rank * share, columns).copy_(parts.narrow(0, rank * rows, rows).narrow(1, 0, columns));
        }

        return result.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor AllGatherRows(Tensor tensor, IReadOnlyList<int> rows)
    {
        var (most, own, width) = (rows.Max(), rows[Rank], tensor.size(1));
        if (most == 0)
            return tensor;
        // NCCL gathers equally much from every rank. The memory after a rank's own rows holds arbitrary values; they are left out below.
        var parts = communicator.Device.Rent(WorkspaceSlot.Gathered, (long)WorldSize * most, width, tensor.dtype);
        var (target, type) = ((nint)parts.DataPointer(), NcclCommunicator.TypeOf(tensor.dtype));
        var source = own == most ? (nint)tensor.DataPointer() : target + (nint)(Rank * most * width * tensor.dtype.ElementSize());
        if (own > 0 && own < most)
        {
            using var place = parts.narrow(0, (long)Rank * most, own);
            place.copy_(tensor);
        }

        communicator.Run((library, handle, stream) => library.AllGather(source, target, most * width, type, handle, stream));
        return GroupRows.Join(parts, rows);
    }

    /// <inheritdoc/>
    public TResult Share<T, TResult>(T own, Func<IReadOnlyList<T>, TResult> work)
        where T : class
    {
        if (meeting is null)
            throw new NotSupportedException("only ranks of one process show each other what they have");
        var device = communicator.Device;
        device.Synchronize(); // the shared data is complete
        return meeting.Share(Rank, own, all =>
        {
            var result = work(all);
            device.Synchronize(); // and this rank has finished with it, on its card too
            return result;
        });
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        meeting?.Abort(reason);
        communicator.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose() => communicator.Dispose();
}
