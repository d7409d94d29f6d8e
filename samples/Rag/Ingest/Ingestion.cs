using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Questions;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>Updates the store to match the documents folder. Only changed documents are split, given questions and embedded
/// again.</summary>
internal sealed class Ingestion(DocumentFolder folder, TokenCounter tokens, QuestionMaker questions, TextEmbedder embedder, IPassageStore store, IOptions<RagOptions> options)
{
    // Increases when the code turns the same document and settings into other passages.
    private const int Recipe = 3;

    private readonly ChunkingOptions _chunking = options.Value.Chunking;

    /// <summary>Opens the store and ingests. A document that cannot be read is reported; the other documents are still ingested.</summary>
    /// <exception cref="RagException">The folder or the store cannot be used.</exception>
    public async Task<IngestReport> RunAsync(IProgress<IngestOutcome>? progress, CancellationToken cancellationToken)
    {
        var found = folder.List();
        if (_chunking.MaxTokens > tokens.MaxTokens)
            throw new RagException($"Rag:Chunking:MaxTokens is {_chunking.MaxTokens}, but the embedding model reads at most {tokens.MaxTokens} tokens; lower it");
        await store.OpenAsync(new(embedder.Engine.ModelName, embedder.Engine.Dimensions), cancellationToken);
        var stored = (await store.GetDocumentsAsync(cancellationToken)).ToDictionary(document => document.Name);
        await CheckFolderAsync(found, stored.Count, cancellationToken);
        var outcomes = new List<IngestOutcome>();
        foreach (var name in found.Files)
            Add(await IngestAsync(name, stored.GetValueOrDefault(name), cancellationToken));
        foreach (var (name, error) in found.Unreadable)
            Add(new(name, IngestState.Failed, Error: error));
        foreach (var absent in stored.Values.ExceptBy(found.Files, document => document.Name))
        {
            // A document in a folder that cannot be opened may still exist.
            if (found.MayHold(absent.Name))
            {
                Add(new(absent.Name, IngestState.Failed, absent.Passages, absent.Questions, Error: "its folder cannot be opened; give the permission to read it."));
                continue;
            }

            await store.RemoveAsync(absent.Name, cancellationToken);
            Add(new(absent.Name, IngestState.Removed));
        }

        return new(outcomes);

        void Add(IngestOutcome outcome)
        {
            outcomes.Add(outcome);
            progress?.Report(outcome);
        }
    }

    /// <summary>Protects the store from a mistyped folder name: every document that another or an empty folder lacks would be
    /// removed.</summary>
    private async Task CheckFolderAsync(FolderListing found, int stored, CancellationToken cancellationToken)
    {
        var owner = await store.ClaimAsync(folder.FullPath, cancellationToken);
        if (owner != folder.FullPath)
            throw new RagException($"the store {store.Place} was made from the folder '{owner}', and the documents folder is '{folder.FullPath}'. Name another store with --store, ingest '{owner}', or, if the folder was moved, remove the store.");
        if (stored > 0 && found.Files.Count == 0 && found.Unreadable.Count == 0)
            throw new RagException($"the documents folder '{folder.FullPath}' is empty, and the store {store.Place} has {stored} documents of it. Restore the documents, or remove the store.");
    }

    private async Task<IngestOutcome> IngestAsync(string name, StoredDocument? stored, CancellationToken cancellationToken)
    {
        SourceDocument document;
        try
        {
            document = await folder.ReadAsync(name, cancellationToken);
        }
        catch (RagException failure)
        {
            return new(name, IngestState.Failed, stored?.Passages ?? 0, stored?.Questions ?? 0, Error: failure.Message);
        }

        // From here on a failure is not the document's fault: a full disk, for example, would stop the next document as well.
        var fingerprint = Fingerprint(document);
        if (stored?.Fingerprint == fingerprint)
            return new(name, IngestState.Unchanged, stored.Passages, stored.Questions);

        var passages = new Chunker(tokens.Count, _chunking).Split(document);
        var vectors = await embedder.EmbedAsync([.. passages.Select(passage => passage.TextToEmbed())], cancellationToken);
        var made = await questions.MakeAsync(passages, vectors, cancellationToken);
        var embedded = passages.Select((passage, index) => new EmbeddedPassage(passage, vectors[index], made.Questions[index])).ToArray();
        var kept = embedded.Sum(passage => passage.Questions.Count);
        await store.ReplaceAsync(new(name, fingerprint, passages.Count, kept), embedded, cancellationToken);
        return new(name, IngestState.Ingested, passages.Count, kept, made.Dropped);
    }

    private string Fingerprint(SourceDocument document) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"{Recipe} {document.ContentHash} {_chunking.MaxTokens} {_chunking.OverlapTokens} {_chunking.EmbedHeadings} {questions.Settings} {embedder.Engine.ModelName}"))));
}
