namespace LocalLlm;

/// <summary>
/// Messages to and from one other process, in order and complete. The first failure is the end: a channel that has lost a message gives no
/// further ones. One caller sends and one receives at a time.
/// </summary>
public interface INodeChannel : IAsyncDisposable
{
    /// <summary>Where the other side is, for messages to the operator.</summary>
    string Peer { get; }

    /// <summary>Sends a message; it is unchanged until the call has ended.</summary>
    /// <exception cref="IOException">The channel has ended.</exception>
    ValueTask SendAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken);

    /// <summary>Waits for the next message.</summary>
    /// <returns>The message, the caller's own; null: the other side has closed the channel.</returns>
    /// <exception cref="IOException">The channel has ended otherwise.</exception>
    ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken);
}
