using Google.Protobuf;
using Grpc.Core;
using LocalLlm.Cluster.Wire;

namespace LocalLlm.Cluster;

/// <summary>One side of a stream of frames.</summary>
/// <param name="peer">The address of the other side.</param>
/// <param name="reader">The incoming frames.</param>
/// <param name="writer">The outgoing frames.</param>
/// <param name="close">Ends the stream.</param>
internal sealed class GrpcNodeChannel(string peer, IAsyncStreamReader<Frame> reader, IAsyncStreamWriter<Frame> writer, Func<ValueTask> close) : INodeChannel
{
    private int _closed;

    /// <inheritdoc/>
    public string Peer => peer;

    /// <inheritdoc/>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        try
        {
            await writer.WriteAsync(new Frame { Content = UnsafeByteOperations.UnsafeWrap(message) }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (IsEnd(failure))
        {
            throw new IOException($"the stream to {peer} has ended", failure);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await reader.MoveNext(cancellationToken).ConfigureAwait(false) ? reader.Current.Content.Memory : null;
        }
        catch (RpcException refused) when (refused.StatusCode == StatusCode.Unauthenticated)
        {
            throw new EngineException(EngineErrorKind.InvalidOptions, $"Node 0 ({peer}) refuses this node's token: give all nodes the same --cluster-token.", "cluster_token");
        }
        catch (Exception failure) when (IsEnd(failure))
        {
            throw new IOException($"the stream from {peer} has ended: {Reason(failure)}", failure);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Interlocked.Exchange(ref _closed, 1) == 0 ? close() : ValueTask.CompletedTask;

    private static bool IsEnd(Exception failure) => failure is RpcException or InvalidOperationException or ObjectDisposedException or IOException;

    private static string Reason(Exception failure) => failure is RpcException rpc ? rpc.Status.Detail : failure.Message;
}
