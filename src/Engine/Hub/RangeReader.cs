using System.Net;
using System.Net.Http.Headers;
using Microsoft.Win32.SafeHandles;

namespace LocalLlm.Hub;

/// <summary>
/// Reads one range of a file from the hub into its place in the unfinished file, and checks that the server sent the requested bytes.
/// </summary>
internal sealed class RangeReader(HubClient client, HubErrors errors, Uri address, RemoteFile file, RangePlan plan, SafeFileHandle output, string partial, Action<long> progressed)
{
    private const int BufferBytes = 256 << 10;

    private readonly string _name = SafeNames.Quote(file.Path);

    /// <summary>Sends one request for the rest of the range.</summary>
    /// <exception cref="HubFault">The connection broke; the bytes that arrived are on the disk.</exception>
    /// <exception cref="EngineException">The hub or the disk refused.</exception>
    public async Task ReadAsync(ByteRange range, CancellationToken cancellationToken)
    {
        var whole = range.Start == 0 && range.End == file.Size && range.Done == 0;
        var asked = whole ? null : new RangeHeaderValue(range.Next, range.End - 1);
        var ifRange = !whole && EntityTagHeaderValue.TryParse(plan.Etag, out var etag) ? etag : null;
        using var response = await client.SendAsync(HttpMethod.Get, address, asked, ifRange, leaveHub: true, cancellationToken).ConfigureAwait(false);
        // The server sends the whole file if it does not support ranges, or if the file has changed.
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable || (!whole && response.StatusCode == HttpStatusCode.OK))
            throw new HubFault($"{_name}: the server cannot resume the file.") { RangesIgnored = true };
        errors.ThrowIfFailed(response, file.Path);
        Check(response, asked);
        using var body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        await CopyAsync(body, range, cancellationToken).ConfigureAwait(false);
    }

    private void Check(HttpResponseMessage response, RangeHeaderValue? asked)
    {
        var headers = response.Content.Headers;
        if (headers.ContentEncoding.Any(encoding => encoding != "identity"))
            throw new HubFault($"{_name}: the server compresses the file against the request.");
        if (response.StatusCode != (asked is null ? HttpStatusCode.OK : HttpStatusCode.PartialContent))
            throw new HubFault($"{_name}: the server responded with status {(int)response.StatusCode}.");
        if (asked is null)
        {
            if (headers.ContentLength is { } length && length != file.Size)
                throw new HubFault($"{_name}: the server sends {length} bytes where the repository lists {file.Size}.");
        }
        else
        {
            var wanted = asked.Ranges.Single();
            var given = headers.ContentRange;
            if (given is null || given.Unit != "bytes" || given.From != wanted.From || given.To is null || given.To < given.From || given.To > wanted.To || (given.HasLength && given.Length != file.Size))
                throw new HubFault($"{_name}: the server sends {given?.ToString() ?? "no range"} where bytes {wanted.From}-{wanted.To}/{file.Size} were asked for.");
        }

        if (response.Headers.ETag is not { IsWeak: false } etag)
            return;
        var known = plan.Etag ??= etag.ToString();
        if (known != etag.ToString())
            throw new HubFault($"{_name}: the file has changed on the server.") { RangesIgnored = true };
    }

    private async Task CopyAsync(Stream body, ByteRange range, CancellationToken cancellationToken)
    {
        var buffer = new byte[BufferBytes];
        while (true)
        {
            var left = range.End - range.Next;
            // Reads one byte more than is left: a longer body is not the requested one.
            var count = await HubBody.ReadAsync(body, buffer.AsMemory(0, (int)Math.Min(buffer.Length, left + 1)), _name, cancellationToken).ConfigureAwait(false);
            if (count == 0)
                break;
            if (count > left)
            {
                progressed(-range.Done);
                range.Done = 0;
                throw new HubFault($"{_name}: the server sends more bytes than it should.");
            }

            await WriteAsync(buffer.AsMemory(0, count), range.Next).ConfigureAwait(false);
            range.Done += count;
            progressed(count);
        }

        if (!range.IsComplete)
            throw new HubFault($"{_name}: the connection ended {range.End - range.Next} bytes too early.");
    }

    // Not cancellable, so that bytes that have arrived are kept.
    private async Task WriteAsync(ReadOnlyMemory<byte> bytes, long offset)
    {
        try
        {
            await RandomAccess.WriteAsync(output, bytes, offset, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Disk.Fault(partial, e);
        }
    }
}
