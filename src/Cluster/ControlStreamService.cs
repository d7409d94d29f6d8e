using System.Threading.Channels;
using Grpc.Core;
using LocalLlm.Cluster.Wire;

namespace LocalLlm.Cluster;

/// <summary>Node 0's side: hands every stream that may connect to whoever accepts, and keeps it until it is closed.</summary>
/// <param name="options">The secret.</param>
/// <param name="accepted">Receives the streams.</param>
internal sealed class ControlStreamService(GrpcNodeOptions options, Channel<INodeChannel> accepted) : ControlStream.ControlStreamBase
{
    /// <summary>The header of a stream that may be used.</summary>
    public const string AcceptedHeader = "localllm-node";

    /// <inheritdoc/>
    public override async Task Connect(IAsyncStreamReader<Frame> requestStream, IServerStreamWriter<Frame> responseStream, ServerCallContext context)
    {
        if (options.Token is { } token && !ClusterToken.IsRight(context.RequestHeaders.GetValue(ClusterToken.Header), token))
            throw new RpcException(new Status(StatusCode.Unauthenticated, "the token is another one"));
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var channel = new GrpcNodeChannel(context.Peer, requestStream, responseStream, () =>
        {
            closed.TrySetResult();
            return ValueTask.CompletedTask;
        });
        // At once, so that the node knows that it may speak.
        await context.WriteResponseHeadersAsync(new() { { AcceptedHeader, "1" } }).ConfigureAwait(false);
        if (!accepted.Writer.TryWrite(channel))
            throw new RpcException(new Status(StatusCode.Unavailable, "the replica ends"));
        await using (context.CancellationToken.Register(() => closed.TrySetResult()).ConfigureAwait(false))
            await closed.Task.ConfigureAwait(false);
    }
}
