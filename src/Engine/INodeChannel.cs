namespace LocalLlm;

/// <summary>
/// A message channel to one other process; messages arrive complete and in order. The first failure ends the channel: after a lost message
/// it delivers no more. At most one caller sends and one receives at a time.
/// </summary>
public interface INodeChannel : IAsyncDisposable
{
    /// <summary>Where the other side is, for messages to the operator.</summary>
    string Peer { get; }

    /// <summary>Sends a message. The caller must not change it until the call has ended.</summary>
    /// <exception cref="IOException">The channel has ended.</exception>
    ValueTask SendAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken);

    /// <summary>Waits for the next message.</summary>
    /// <returns>The message, which the caller owns; null: the other side has closed the channel.</returns>
    /// <exception cref="IOException">The channel has failed.</exception>
    ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken);
}
