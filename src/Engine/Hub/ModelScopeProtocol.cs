using System.Text.Json;

namespace LocalLlm.Hub;

/// <summary>
/// ModelScope's protocol. <c>api/v1/models/REPO/revisions</c> lists branches and tags, <c>…/repo/files</c> lists files, and
/// <c>…/repo?FilePath=…</c> returns the bytes.
/// </summary>
internal sealed class ModelScopeProtocol(HubClient client, HubOptions options) : IHubProtocol
{
    private static readonly string[] RevisionLists = ["Branches", "Tags"];

    /// <inheritdoc/>
    public async Task<Listing> ListAsync(string repository, string revision, CancellationToken cancellationToken)
    {
        using (var revisions = await GetAsync(repository, revision, "revisions", cancellationToken).ConfigureAwait(false))
        {
            // The list has no commits, so a commit that a user names is not checked against it.
            var known = Names(revisions.RootElement).ToList();
            if (known.Count > 0 && !known.Contains(revision) && !SafeNames.IsCommit(revision))
            {
                throw EngineException.ModelFolder(
                    repository, $"there is no revision {SafeNames.Quote(revision)}; it has {string.Join(", ", known.Take(20).Select(SafeNames.Quote))}");
            }
        }

        using var json = await GetAsync(repository, revision, $"repo/files?Revision={Uri.EscapeDataString(revision)}&Recursive=True", cancellationToken).ConfigureAwait(false);
        if (json.RootElement.Member("Data") is not { } data)
            throw EngineException.ModelFolder(repository, "the hub's response has no Data; is the endpoint a hub?");
        return new(revision, JsonFieldsOfHubs.Files(data, "Files", repository, FileOf));
    }

    /// <inheritdoc/>
    public Task<RemoteFile> CompleteAsync(string repository, string commit, RemoteFile file, CancellationToken cancellationToken) => file.Size is null
        ? throw EngineException.ModelFolder(SafeNames.Quote(file.Path), "the hub's listing gives no size for it")
        : Task.FromResult(file);

    /// <inheritdoc/>
    public Uri AddressOf(string repository, string commit, RemoteFile file) =>
        new(client.Endpoint, $"api/v1/models/{repository}/repo?Revision={Uri.EscapeDataString(commit)}&FilePath={Uri.EscapeDataString(file.Path)}");

    private async Task<JsonDocument> GetAsync(string repository, string revision, string what, CancellationToken cancellationToken)
    {
        using var response = await client.SendAsync(
            HttpMethod.Get, new Uri(client.Endpoint, $"api/v1/models/{repository}/{what}"), null, null, leaveHub: true, cancellationToken).ConfigureAwait(false);
        new HubErrors(client, options, repository, revision).ThrowIfFailed(response, null);
        var json = await HubBody.ReadJsonAsync(response, repository, cancellationToken).ConfigureAwait(false);
        // Some refusals come with status 200.
        if (json.RootElement.Number("Code") is null or 200 or 0)
            return json;
        using (json)
        {
            throw EngineException.ModelFolder(
                repository, $"the hub refuses: code {json.RootElement.Number("Code")}, {SafeNames.Quote(json.RootElement.Text("Message") ?? "no message")}");
        }
    }

    private static IEnumerable<string> Names(JsonElement root) =>
        from list in RevisionLists
        let array = root.Member("Data")?.Member("RevisionMap")?.Member(list)
        where array is { ValueKind: JsonValueKind.Array }
        from item in array.Value.EnumerateArray()
        let name = item.Text("Revision")
        where name is not null
        select name;

    private static RemoteFile? FileOf(JsonElement file) => file.Text("Path") is { } path && file.Text("Type") != "tree"
        ? RemoteFile.Checked(path, file.Number("Size"), file.Text("Sha256"))
        : null;
}
