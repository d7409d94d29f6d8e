using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;

namespace LocalLlm.Hub;

/// <summary>
/// Reads config.json of a repository and, with range requests, the headers of its safetensors files: 8 bytes with a header's length, then
/// the header. It requests no byte of a tensor and writes nothing to a disk. If the headers would exceed the limit, it reads none of them.
/// </summary>
/// <param name="options">The hub.</param>
/// <param name="repository"><c>org/name</c>.</param>
/// <param name="revision">A branch, a tag or a commit.</param>
/// <param name="limit">Max bytes of all responses together.</param>
internal sealed class RemoteSizesReader(HubOptions options, string repository, string revision, long limit)
{
    private const string ConfigName = "config.json";
    private const int PrefixBytes = sizeof(ulong);
    private const int MaxParallel = 8;

    /// <summary>Reads the configuration and the headers.</summary>
    /// <exception cref="HubFault">The hub cannot be reached, or may respond later.</exception>
    /// <exception cref="EngineException">No such repository, no access, no config.json, or the limit is exceeded before any
    /// header.</exception>
    public async Task<RemoteSizes> ReadAsync(CancellationToken cancellationToken)
    {
        var meter = new ByteMeter(limit);
        using var client = new HubClient(options, meter);
        IHubProtocol protocol = options.Hub == HubKind.ModelScope ? new ModelScopeProtocol(client, options) : new HuggingFaceProtocol(client, options);
        var backoff = new Backoff(options.Time);
        var listing = await backoff.RunAsync(() => protocol.ListAsync(repository, revision, cancellationToken), Backoff.MaxTries, cancellationToken).ConfigureAwait(false);
        var fetch = new Fetching(client, new HubErrors(client, options, repository, revision), protocol, repository, listing.Commit, meter);
        var config = listing.Files.FirstOrDefault(file => file.Path == ConfigName)
            ?? throw EngineException.ModelFolder(repository, $"has no {ConfigName}, from which a model is planned; name another repository");
        var text = await backoff.RunAsync(() => fetch.WholeAsync(config, cancellationToken), Backoff.MaxTries, cancellationToken).ConfigureAwait(false);
        RemoteFile[] files = [.. ModelFiles.RootsOf(listing)];
        long? bytes = files.All(file => file.Size is not null) ? files.Sum(file => file.Size!.Value) : null;
        var (headers, note) = await HeadersAsync(files, fetch, meter, cancellationToken).ConfigureAwait(false);
        return new(text, headers, files.Length, bytes, meter.Read, note);
    }

    private static async Task<(IReadOnlyList<RemoteHeader>? Headers, string? Note)> HeadersAsync(
        RemoteFile[] files, Fetching fetch, ByteMeter meter, CancellationToken cancellationToken)
    {
        if (files.Length == 0)
            return (null, "the repository has no safetensors files");
        if (files.Any(file => file.Size is null))
            return (null, "the hub does not list the sizes of the files");
        var lengths = new ConcurrentDictionary<string, int>(StringComparer.Ordinal);
        var headers = new ConcurrentDictionary<string, RemoteHeader>(StringComparer.Ordinal);
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = MaxParallel, CancellationToken = cancellationToken };
        try
        {
            await System.Threading.Tasks.Parallel.ForEachAsync(files, parallel, async (file, token) => lengths[file.Path] = await fetch.HeaderLengthAsync(file, token).ConfigureAwait(false)).ConfigureAwait(false);
            if (lengths.Values.Sum(length => (long)length) is var wanted && wanted > meter.Left)
                return (null, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"the headers of its {files.Length} files have {wanted:N0} bytes, more than a plan fetches"));
            await System.Threading.Tasks.Parallel.ForEachAsync(files, parallel, async (file, token) =>
                headers[file.Path] = new(file.Path, await fetch.RangeAsync(file, PrefixBytes, lengths[file.Path], token).ConfigureAwait(false), file.Size!.Value)).ConfigureAwait(false);
        }
        catch (HubFault fault)
        {
            return (null, fault.Message.TrimEnd('.'));
        }

        return ([.. files.Select(file => headers[file.Path])], null);
    }

    private sealed class Fetching(HubClient client, HubErrors errors, IHubProtocol protocol, string repository, string commit, ByteMeter meter)
    {
        public Task<byte[]> WholeAsync(RemoteFile file, CancellationToken cancellationToken) => ReadAsync(file, null, cancellationToken);

        // A header larger than the limit is not read, whatever it is.
        public async Task<int> HeaderLengthAsync(RemoteFile file, CancellationToken cancellationToken)
        {
            if (file.Size < PrefixBytes)
                throw new HubFault($"{SafeNames.Quote(file.Path)} is too short for a safetensors file.");
            var length = BinaryPrimitives.ReadUInt64LittleEndian(await RangeAsync(file, 0, PrefixBytes, cancellationToken).ConfigureAwait(false));
            return length is > 0 and <= int.MaxValue && (long)length <= file.Size - PrefixBytes ? (int)length
                : throw new HubFault($"{SafeNames.Quote(file.Path)} has no header of a safetensors file.");
        }

        public Task<byte[]> RangeAsync(RemoteFile file, long start, int length, CancellationToken cancellationToken) =>
            ReadAsync(file, new(start, start + length - 1), cancellationToken);

        private async Task<byte[]> ReadAsync(RemoteFile file, RangeHeaderValue? range, CancellationToken cancellationToken)
        {
            var name = SafeNames.Quote(file.Path);
            var address = protocol.AddressOf(repository, commit, file);
            using var response = await client.SendAsync(HttpMethod.Get, address, range, null, leaveHub: true, cancellationToken).ConfigureAwait(false);
            errors.ThrowIfFailed(response, file.Path);
            // Do not read on: the body would be the whole file.
            if (range is not null && (response.StatusCode != HttpStatusCode.PartialContent || !IsRange(response.Content.Headers.ContentRange, range)))
                throw new HubFault($"{name}: the server does not support range requests.");
            using var body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
            var wanted = range is null ? file.Size ?? meter.Left : range.Ranges.Single() is var asked ? asked.To!.Value - asked.From!.Value + 1 : 0;
            if (wanted > meter.Left)
                throw EngineException.ModelFolder(name, $"has {wanted} bytes, more than a plan fetches");
            using var bytes = new MemoryStream();
            var buffer = new byte[16 << 10];
            while (await HubBody.ReadAsync(body, buffer, name, cancellationToken).ConfigureAwait(false) is > 0 and var count)
                bytes.Write(buffer, 0, count);
            return range is null || bytes.Length == wanted ? bytes.ToArray() : throw new HubFault($"{name}: the server sends {bytes.Length} bytes where {wanted} were asked for.");
        }

        private static bool IsRange(ContentRangeHeaderValue? given, RangeHeaderValue range) =>
            range.Ranges.Single() is var wanted && given is { Unit: "bytes" } && given.From == wanted.From && given.To == wanted.To;
    }
}
