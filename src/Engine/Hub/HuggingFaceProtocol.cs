using System.Globalization;
using System.Text.Json;

namespace LocalLlm.Hub;

/// <summary>
/// Hugging Face's protocol. <c>api/models/REPO/revision/REV?blobs=true</c> lists the files; <c>REPO/resolve/COMMIT/PATH</c> returns their
/// bytes. For a large file it redirects to another host; the redirect's <c>X-Linked-Etag</c> and <c>X-Linked-Size</c> are those of the
/// file.
/// </summary>
internal sealed class HuggingFaceProtocol(HubClient client, HubOptions options) : IHubProtocol
{
    /// <inheritdoc/>
    public async Task<Listing> ListAsync(string repository, string revision, CancellationToken cancellationToken)
    {
        var address = new Uri(client.Endpoint, $"api/models/{repository}/revision/{Uri.EscapeDataString(revision)}?blobs=true");
        using var response = await client.SendAsync(HttpMethod.Get, address, null, null, leaveHub: true, cancellationToken).ConfigureAwait(false);
        new HubErrors(client, options, repository, revision).ThrowIfFailed(response, null);
        using var json = await HubBody.ReadJsonAsync(response, repository, cancellationToken).ConfigureAwait(false);
        var root = json.RootElement;
        var commit = root.Text("sha");
        if (commit is null || !SafeNames.IsCommit(commit))
            throw EngineException.ModelFolder(repository, $"the hub gives {SafeNames.Quote(commit ?? "nothing")} as the commit; 40 hex digits were wanted");
        if (SafeNames.IsCommit(revision) && commit != revision)
            throw EngineException.ModelFolder(repository, $"the hub gives the commit {commit} where {revision} was asked for");
        return new(commit, JsonFieldsOfHubs.Files(root, "siblings", repository, FileOf));
    }

    /// <inheritdoc/>
    public async Task<RemoteFile> CompleteAsync(string repository, string commit, RemoteFile file, CancellationToken cancellationToken)
    {
        if (file is { Size: not null, Digest: not null })
            return file;
        using var response = await client.SendAsync(HttpMethod.Head, AddressOf(repository, commit, file), null, null, leaveHub: false, cancellationToken).ConfigureAwait(false);
        if ((int)response.StatusCode / 100 != 3)
            new HubErrors(client, options, repository, commit).ThrowIfFailed(response, file.Path);
        var size = Header(response, "X-Linked-Size") is { } linked
            ? long.TryParse(linked, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) ? bytes : -1
            : response.IsSuccessStatusCode ? response.Content.Headers.ContentLength : null;
        var etag = Header(response, "X-Linked-Etag") ?? Header(response, "ETag");
        var found = RemoteFile.Checked(file.Path, file.Size ?? size, file.Digest ?? etag);
        return found is { Size: not null, Digest: not null }
            ? found
            : throw EngineException.ModelFolder(SafeNames.Quote(file.Path), "the hub gives neither in its listing nor with the file a size and an etag; is the endpoint a hub?");
    }

    /// <inheritdoc/>
    public Uri AddressOf(string repository, string commit, RemoteFile file) =>
        new(client.Endpoint, $"{repository}/resolve/{commit}/{string.Join('/', file.Path.Split('/').Select(Uri.EscapeDataString))}");

    // For a file in LFS, blobId is the pointer's; the sha256 identifies the content.
    private static RemoteFile? FileOf(JsonElement file)
    {
        if (file.Text("rfilename") is not { } path)
            return null;
        return file.TryGetProperty("lfs", out var lfs) && lfs.ValueKind == JsonValueKind.Object
            ? RemoteFile.Checked(path, lfs.Number("size") ?? file.Number("size"), lfs.Text("sha256") ?? lfs.Text("oid"))
            : RemoteFile.Checked(path, file.Number("size"), file.Text("blobId"));
    }

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null;
}
