using System.Threading.Channels;

namespace LocalLlm.Cluster.Tests;

/// <summary>A control stream in memory that connects the other nodes to node 0. Tests cut and silence it.</summary>
internal sealed class MemoryNetwork
{
    private readonly Channel<INodeChannel> _connected = Channel.CreateUnbounded<INodeChannel>();
    private readonly List<MemoryChannel> _all = [];

    /// <summary>The transport of any node.</summary>
    public INodeTransport Transport() => new MemoryTransport(this);

    /// <summary>Ends every connection, as when a process dies.</summary>
    public void Cut() => _all.ForEach(channel => channel.Close());

    /// <summary>Drops every message from now on, as when a network is down.</summary>
    public void Silence() => _all.ForEach(channel => channel.IsSilent = true);

    private sealed class MemoryTransport(MemoryNetwork network) : INodeTransport
    {
        public Task ListenAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken) => network._connected.Reader.ReadAsync(cancellationToken);

        public ValueTask<INodeChannel> ConnectAsync(CancellationToken cancellationToken)
        {
            var (there, here) = (Channel.CreateUnbounded<byte[]>(), Channel.CreateUnbounded<byte[]>());
            var own = new MemoryChannel(here.Reader, there.Writer, here.Writer);
            var other = new MemoryChannel(there.Reader, here.Writer, there.Writer);
            lock (network._all)
                network._all.AddRange([own, other]);
            network._connected.Writer.TryWrite(other);
            return ValueTask.FromResult<INodeChannel>(own);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class MemoryChannel(ChannelReader<byte[]> incoming, ChannelWriter<byte[]> outgoing, ChannelWriter<byte[]> own) : INodeChannel
    {
        public bool IsSilent { get; set; }

        public string Peer => "memory";

        public ValueTask SendAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
        {
            if (!IsSilent && !outgoing.TryWrite(message.ToArray()))
                throw new IOException("closed");
            return ValueTask.CompletedTask;
        }

        public async ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken) =>
            await incoming.WaitToReadAsync(cancellationToken) && incoming.TryRead(out var message) ? message : null;

        public void Close()
        {
            outgoing.TryComplete();
            own.TryComplete();
        }

        public ValueTask DisposeAsync()
        {
            Close();
            return ValueTask.CompletedTask;
        }
    }
}
