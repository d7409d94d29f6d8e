using System.Threading.Channels;
using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>
/// One other process of the replica: sends without waiting, hands over what comes, and notices when the other side has gone: its channel
/// ends, or it is silent for three heartbeats. Thread-safe.
/// </summary>
internal sealed class NodeLink : IAsyncDisposable
{
    /// <summary>Heartbeats that may be missed.</summary>
    public const int MissedHeartbeats = 3;

    private static readonly TimeSpan ClosingTime = TimeSpan.FromSeconds(1);

    private readonly INodeChannel _channel;
    private readonly TimeSpan _heartbeat;
    private readonly Action<NodeLink, NodeMessageKind, ReadOnlyMemory<byte>> _received;
    private readonly Action<NodeLink, Exception> _lost;
    private readonly TimeProvider _time;
    private readonly Channel<byte[]> _outgoing = Channel.CreateUnbounded<byte[]>(new() { SingleReader = true });
    private readonly CancellationTokenSource _closing = new();
    private ITimer? _timer;
    private Task _sending = Task.CompletedTask;
    private Task _receiving = Task.CompletedTask;
    private long _heard;
    private int _silentBeats;
    private int _ended;

    /// <param name="channel">Its channel, owned from here on.</param>
    /// <param name="name">What the other side is called in messages, such as <c>node 1</c>.</param>
    /// <param name="heartbeat">How often each side says that it is there.</param>
    /// <param name="received">Takes every message but heartbeats, in order. Must not wait.</param>
    /// <param name="lost">Called once, if the other side has gone without a word; any thread.</param>
    /// <param name="time">The clock.</param>
    public NodeLink(
        INodeChannel channel,
        string name,
        TimeSpan heartbeat,
        Action<NodeLink, NodeMessageKind, ReadOnlyMemory<byte>> received,
        Action<NodeLink, Exception> lost,
        TimeProvider time)
    {
        _channel = channel;
        Name = name;
        _heartbeat = heartbeat;
        _received = received;
        _lost = lost;
        _time = time;
    }

    /// <summary>What the other side is called.</summary>
    public string Name { get; }

    /// <summary>Begins to send and to receive.</summary>
    public void Start()
    {
        _heard = _time.GetTimestamp();
        _sending = Task.Run(SendAsync);
        _receiving = Task.Run(ReceiveAsync);
        _timer = _time.CreateTimer(_ => Beat(), null, _heartbeat, _heartbeat);
    }

    /// <summary>Sends a message some time; nothing happens where the other side has gone.</summary>
    public void Post(byte[] message) => _outgoing.Writer.TryWrite(message);

    /// <summary>The other side has said that it ends: it may close the channel.</summary>
    public void ExpectEnd() => Interlocked.Exchange(ref _ended, 1);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        ExpectEnd();
        if (_timer is not null)
            await _timer.DisposeAsync().ConfigureAwait(false);
        // What was posted still goes, if it can.
        _outgoing.Writer.TryComplete();
        await Task.WhenAny(_sending, Task.Delay(ClosingTime)).ConfigureAwait(false);
        await _closing.CancelAsync().ConfigureAwait(false);
        await Task.WhenAny(_channel.DisposeAsync().AsTask(), Task.Delay(ClosingTime)).ConfigureAwait(false);
        await Task.WhenAny(Task.WhenAll(_sending, _receiving), Task.Delay(ClosingTime)).ConfigureAwait(false);
    }

    private async Task SendAsync()
    {
        try
        {
            await foreach (var message in _outgoing.Reader.ReadAllAsync(_closing.Token).ConfigureAwait(false))
                await _channel.SendAsync(message, _closing.Token).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Lose($"{Name} ({_channel.Peer}) cannot be reached any more ({failure.Message})");
        }
    }

    private async Task ReceiveAsync()
    {
        try
        {
            while (await _channel.ReceiveAsync(_closing.Token).ConfigureAwait(false) is { } message)
            {
                Volatile.Write(ref _heard, _time.GetTimestamp());
                Volatile.Write(ref _silentBeats, 0);
                var (kind, content) = NodeMessage.Read(message);
                if (kind != NodeMessageKind.Heartbeat)
                    _received(this, kind, content);
            }

            Lose($"{Name} ({_channel.Peer}) has closed its connection: its process has ended");
        }
        catch (InvalidDataException malformed)
        {
            Lose($"{Name} ({_channel.Peer}): {malformed.Message}");
        }
        catch (Exception failure)
        {
            Lose($"{Name} ({_channel.Peer}) is gone ({failure.Message})");
        }
    }

    private void Beat()
    {
        Post(NodeMessage.Heartbeat);
        // Counted in beats of its own, not in time: a process that got no processor has heard nobody, and what they sent waits for it.
        var silence = _time.GetElapsedTime(Volatile.Read(ref _heard));
        if (Interlocked.Increment(ref _silentBeats) > MissedHeartbeats)
            Lose(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Name} ({_channel.Peer}) has been silent for {silence.TotalSeconds:F1} s: it hangs, or the network between is down"));
    }

    private void Lose(string message)
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
            _lost(this, new RankFailedException(message, null));
    }
}
