using LocalLlm.Interop;
using LocalLlm.Parallel;
using static TorchSharp.torch;

namespace LocalLlm.Execution.Cluster;

/// <summary>Connects stages on different nodes over the control stream: for devices that have no faster way to each other.</summary>
/// <param name="post">Sends a message towards a rank; must not wait.</param>
/// <param name="mail">What has come.</param>
/// <param name="from">The rank that sends.</param>
/// <param name="to">The rank that receives.</param>
/// <param name="device">The name of the device of this process's rank.</param>
internal sealed unsafe class ControlStreamLink(Action<int, byte[]> post, ClusterMail mail, int from, int to, string device) : IPipelineLink
{
    private readonly AbortableQueue<ReadOnlyMemory<byte>> _incoming = mail.Of(NodeMessageKind.Activation, from, to);
    private Exception? _aborted;

    /// <inheritdoc/>
    public void Send(Tensor hidden)
    {
        if (Volatile.Read(ref _aborted) is { } reason)
            throw new RankFailedException(reason.Message, reason);
        using var host = hidden.device_type == TorchSharp.DeviceType.CPU ? null : hidden.cpu();
        var source = (byte*)(host ?? hidden).DataPointer();
        var width = checked((int)hidden.shape[1]);
        var rowBytes = checked((int)(width * hidden.element_size()));
        var rows = checked((int)hidden.shape[0]);
        var rowsOfPart = Math.Max(1, ActivationMessage.PartBytes / rowBytes);
        for (var first = 0; first < rows; first += rowsOfPart)
        {
            var part = new ActivationMessage(from, to, first, Math.Min(rowsOfPart, rows - first), width, hidden.dtype);
            var bytes = part.Rows * rowBytes;
            var message = part.ToMessage(bytes);
            new ReadOnlySpan<byte>(source + ((long)first * rowBytes), bytes).CopyTo(message.AsSpan(message.Length - bytes));
            post(to, message);
        }
    }

    /// <inheritdoc/>
    public Tensor Receive(long tokens, long width, ScalarType type)
    {
        var hidden = empty([tokens, width], type);
        var target = (byte*)hidden.DataPointer();
        var rowBytes = width * hidden.element_size();
        for (long row = 0; row < tokens;)
        {
            var content = _incoming.Take();
            var part = ActivationMessage.Read(content.Span);
            var rows = content.Span[ActivationMessage.HeaderBytes..];
            if (part.Width != width || part.Type != type || part.FirstRow != row || part.Rows < 1 || part.Rows > tokens - row || rows.Length != part.Rows * rowBytes)
            {
                throw new RankFailedException(
                    $"Rank {from} has sent {part.Rows} rows of {part.Width} {part.Type} from row {part.FirstRow} in {rows.Length} bytes; rank {to} waits for {tokens} rows of {width} {type} from row {row}.", null);
            }

            rows.CopyTo(new Span<byte>(target + (row * rowBytes), rows.Length));
            row += part.Rows;
        }

        return device.StartsWith("cuda", StringComparison.Ordinal) ? hidden.to(new Device(device)) : hidden;
    }

    /// <inheritdoc/>
    public void Abort(Exception reason)
    {
        Interlocked.CompareExchange(ref _aborted, reason, null);
        _incoming.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // The streams are the cluster's.
    }
}
