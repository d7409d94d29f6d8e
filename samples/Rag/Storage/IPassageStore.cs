using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Storage;

/// <summary>
/// Keeps passages with their questions and all their vectors, and finds candidates among them. Safe for concurrent calls, after
/// <see cref="OpenAsync"/>.
/// </summary>
internal interface IPassageStore
{
    /// <summary>Where the store is, for messages.</summary>
    string Place { get; }

    /// <summary>Creates the tables, or checks that the existing ones hold vectors of this model.</summary>
    /// <exception cref="RagException">The tables hold another model's vectors, or the store cannot be opened.</exception>
    Task OpenAsync(StoredModel model, CancellationToken cancellationToken);

    /// <summary>Assigns the store to a documents folder, unless it has documents of another folder.</summary>
    /// <returns>The folder that the store belongs to.</returns>
    Task<string> ClaimAsync(string folder, CancellationToken cancellationToken);

    Task<IReadOnlyList<StoredDocument>> GetDocumentsAsync(CancellationToken cancellationToken);

    /// <summary>Replaces the document of this name, completely or not at all.</summary>
    Task ReplaceAsync(StoredDocument document, IReadOnlyList<EmbeddedPassage> passages, CancellationToken cancellationToken);

    /// <summary>Removes a document and all that belongs to it; a missing document is no error.</summary>
    Task RemoveAsync(string name, CancellationToken cancellationToken);

    /// <summary>
    /// The passages with the best dense scores and those with the best sparse scores, each once. A passage's score is the best of its own
    /// and its questions' scores. A sparse candidate shares at least one token with the query.
    /// </summary>
    /// <param name="query">The query's vectors.</param>
    /// <param name="count">How many candidates of each kind.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    Task<IReadOnlyList<EmbeddedPassage>> FindCandidatesAsync(TextVectors query, int count, CancellationToken cancellationToken);
}

/// <summary>The embedding model of a store: vectors of different models cannot be compared.</summary>
internal sealed record StoredModel(string Name, int Dimensions);

/// <param name="Name">The document's name.</param>
/// <param name="Fingerprint">Changes with the content and with all settings that its passages depend on.</param>
/// <param name="Passages">How many passages it has.</param>
/// <param name="Questions">How many question–answer pairs these passages have.</param>
internal sealed record StoredDocument(string Name, string Fingerprint, int Passages, int Questions);
