namespace LocalLlm.Hub;

/// <summary>A checked file of a repository: the path stays in its folder, the size is plausible, the digest is hex.</summary>
/// <param name="Path">The path, with <c>/</c> between parts.</param>
/// <param name="Size">Bytes; null: the listing does not say.</param>
/// <param name="Digest">64 hex digits: sha256 of the content; 40: git's sha1 of it as a blob; null: the hub does not say.</param>
internal sealed record RemoteFile(string Path, long? Size, string? Digest)
{
    /// <summary>Max bytes; no model has a larger file.</summary>
    public const long MaxSize = 16L << 40;

    /// <summary>Checks a server's description of a file.</summary>
    /// <exception cref="EngineException">ModelFolder: the path, size or digest is invalid.</exception>
    public static RemoteFile Checked(string path, long? size, string? digest)
    {
        if (SafeNames.PathFault(path) is { } fault)
            throw EngineException.ModelFolder(SafeNames.Quote(path), $"the hub lists a file whose name {fault}; nothing of this repository was downloaded");
        if (size is < 0 or > MaxSize)
            throw EngineException.ModelFolder(SafeNames.Quote(path), $"the hub says that it has {size} bytes; 0 to {MaxSize} are possible");
        if (string.IsNullOrEmpty(digest))
            return new(path, size, null);
        return new(path, size, SafeNames.Digest(digest) ?? throw EngineException.ModelFolder(
            SafeNames.Quote(path), $"the hub gives {SafeNames.Quote(digest)} as its digest; 40 or 64 hex digits were wanted"));
    }
}
