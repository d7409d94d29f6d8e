namespace LocalLlm.Hub;

/// <summary>How a hub is asked. Implementations hold no state of a download.</summary>
internal interface IHubProtocol
{
    /// <summary>The repository's files at a revision.</summary>
    /// <exception cref="HubFault">The hub could not be reached, or may answer later.</exception>
    /// <exception cref="EngineException">ModelFolder: no such repository or revision, no access, or an answer that makes no
    /// sense.</exception>
    Task<Listing> ListAsync(string repository, string revision, CancellationToken cancellationToken);

    /// <summary>A file with its size and digest, asked for one by one where the listing lacks them.</summary>
    /// <exception cref="HubFault">As <see cref="ListAsync"/>.</exception>
    /// <exception cref="EngineException">As <see cref="ListAsync"/>.</exception>
    Task<RemoteFile> CompleteAsync(string repository, string commit, RemoteFile file, CancellationToken cancellationToken);

    /// <summary>Where a file's bytes are.</summary>
    Uri AddressOf(string repository, string commit, RemoteFile file);
}
