using System.Threading.Channels;
using Grpc.Core;
using LocalLlm.Cluster.Wire;

namespace LocalLlm.Cluster;

/// <summary>Node 0's side: passes every authorized stream to the acceptor, and keeps the stream open until it is closed.</summary>
/// <param name="options">The options with the secret.</param>
/// <param name="accepted">Receives the streams.</param>
internal sealed class ControlStreamService(GrpcNodeOptions options, Channel<INodeChannel> accepted) : ControlStream.ControlStreamBase
{
    /// <summary>The header that node 0 sends on an accepted stream.</summary>
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
        // Sent at once, to let the node know that it may send.
        await context.WriteResponseHeadersAsync(new() { { AcceptedHeader, "1" } }).ConfigureAwait(false);
        if (!accepted.Writer.TryWrite(channel))
            throw new RpcException(new Status(StatusCode.Unavailable, "the replica ends"));
        await using (context.CancellationToken.Register(() => closed.TrySetResult()).ConfigureAwait(false))
            await closed.Task.ConfigureAwait(false);
    }
}
