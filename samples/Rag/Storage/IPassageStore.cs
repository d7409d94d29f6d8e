using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Storage;

/// <summary>
/// Keeps passages with their questions and all their vectors, and finds candidates among them. Safe for concurrent calls;
/// <see cref="OpenAsync"/> comes first.
/// </summary>
internal interface IPassageStore
{
    /// <summary>Where the store is, for messages.</summary>
    string Place { get; }

    /// <summary>Creates the tables, or looks whether those that are there hold vectors of this model.</summary>
    /// <exception cref="RagException">They hold another's, or the store cannot be opened.</exception>
    Task OpenAsync(StoredModel model, CancellationToken cancellationToken);

    /// <summary>Gives the store to a folder of documents, unless it has documents of another.</summary>
    /// <returns>The folder that it was made from.</returns>
    Task<string> ClaimAsync(string folder, CancellationToken cancellationToken);

    Task<IReadOnlyList<StoredDocument>> GetDocumentsAsync(CancellationToken cancellationToken);

    /// <summary>Puts a document in the place of the one of its name, whole or not at all.</summary>
    Task ReplaceAsync(StoredDocument document, IReadOnlyList<EmbeddedPassage> passages, CancellationToken cancellationToken);

    /// <summary>Removes a document and all that belongs to it; one that is not there is no error.</summary>
    Task RemoveAsync(string name, CancellationToken cancellationToken);

    /// <summary>
    /// The passages with the best dense scores and those with the best sparse ones, each once; a passage's score is the best of its own and
    /// its questions'. Sparse candidates share a token with the query at least.
    /// </summary>
    /// <param name="query">The query's vectors.</param>
    /// <param name="count">How many of each kind.</param>
    /// <param name="cancellationToken">Gives up.</param>
    Task<IReadOnlyList<EmbeddedPassage>> FindCandidatesAsync(TextVectors query, int count, CancellationToken cancellationToken);
}

/// <summary>Vectors of different models cannot be compared.</summary>
internal sealed record StoredModel(string Name, int Dimensions);

/// <param name="Name">The document's name.</param>
/// <param name="Fingerprint">Changes with the content and with all settings that its passages were made by.</param>
/// <param name="Passages">How many passages it has.</param>
/// <param name="Questions">How many question–answer pairs they have.</param>
internal sealed record StoredDocument(string Name, string Fingerprint, int Passages, int Questions);
