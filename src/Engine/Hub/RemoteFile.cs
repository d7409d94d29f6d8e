namespace LocalLlm.Hub;

/// <summary>A file of a repository, checked: the path stays in its folder, the size is sane, the digests are hex.</summary>
/// <param name="Path">With <c>/</c> between parts.</param>
/// <param name="Size">Bytes; null where the listing does not say.</param>
/// <param name="Digest">64 hex digits: sha256 of the content; 40: git's sha1 of it as a blob; null where the hub does not say.</param>
internal sealed record RemoteFile(string Path, long? Size, string? Digest)
{
    /// <summary>No model has a larger file.</summary>
    public const long MaxSize = 16L << 40;

    /// <summary>Checks what a server says of a file.</summary>
    /// <exception cref="EngineException">ModelFolder: the path, size or digest is not what one can be.</exception>
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
