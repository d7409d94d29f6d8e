namespace LocalLlm.Hub;

/// <summary>The requests of one kind of hub. Implementations hold no state of a download.</summary>
internal interface IHubProtocol
{
    /// <summary>Lists the repository's files at a revision.</summary>
    /// <exception cref="HubFault">The hub cannot be reached, or may respond later.</exception>
    /// <exception cref="EngineException">ModelFolder: no such repository or revision, no access, or a nonsensical
    /// response.</exception>
    Task<Listing> ListAsync(string repository, string revision, CancellationToken cancellationToken);

    /// <summary>A file with its size and digest; fetches them for this file if the listing lacks them.</summary>
    /// <exception cref="HubFault">As <see cref="ListAsync"/>.</exception>
    /// <exception cref="EngineException">As <see cref="ListAsync"/>.</exception>
    Task<RemoteFile> CompleteAsync(string repository, string commit, RemoteFile file, CancellationToken cancellationToken);

    /// <summary>The address of a file's bytes.</summary>
    Uri AddressOf(string repository, string commit, RemoteFile file);
}
