namespace LocalLlm.Hub;

/// <summary>The header of a safetensors file of a repository.</summary>
/// <param name="File">Its path.</param>
/// <param name="Json">The header, without the length field before it.</param>
/// <param name="FileLength">Bytes of the whole file, as the repository lists it.</param>
internal sealed record RemoteHeader(string File, byte[] Json, long FileLength);

/// <summary>What a plan needs to know about a repository's model, without its weights.</summary>
/// <param name="Config">config.json.</param>
/// <param name="Headers">The headers of all safetensors files; null: not read; <paramref name="Note"/> says why.</param>
/// <param name="WeightFiles">Number of safetensors files.</param>
/// <param name="WeightFileBytes">Their total size as listed; null: the listing does not say.</param>
/// <param name="FetchedBytes">Bytes fetched.</param>
/// <param name="Note">Why there are no headers.</param>
internal sealed record RemoteSizes(byte[] Config, IReadOnlyList<RemoteHeader>? Headers, int WeightFiles, long? WeightFileBytes, long FetchedBytes, string? Note);
