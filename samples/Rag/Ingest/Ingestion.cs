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

/// <summary>Brings the store to what the documents folder holds. Only what has changed is read, questioned and embedded again.</summary>
internal sealed class Ingestion(DocumentFolder folder, TokenCounter tokens, QuestionMaker questions, TextEmbedder embedder, IPassageStore store, IOptions<RagOptions> options)
{
    // Rises when passages are made otherwise of the same document and settings.
    private const int Recipe = 1;

    private readonly ChunkingOptions _chunking = options.Value.Chunking;

    /// <summary>Opens the store and ingests. A document that cannot be read is reported, and the others go on.</summary>
    /// <exception cref="RagException">The folder or the store cannot be used.</exception>
    public async Task<IngestReport> RunAsync(IProgress<IngestOutcome>? progress, CancellationToken cancellationToken)
    {
        var names = folder.List();
        if (_chunking.MaxTokens > tokens.MaxTokens)
            throw new RagException($"Rag:Chunking:MaxTokens is {_chunking.MaxTokens}, but the embedding model reads at most {tokens.MaxTokens} tokens; lower it");
        await store.OpenAsync(new(embedder.Engine.ModelName, embedder.Engine.Dimensions), cancellationToken);
        var stored = (await store.GetDocumentsAsync(cancellationToken)).ToDictionary(document => document.Name);
        var outcomes = new List<IngestOutcome>();
        foreach (var name in names)
        {
            var outcome = await IngestAsync(name, stored.GetValueOrDefault(name), cancellationToken);
            outcomes.Add(outcome);
            progress?.Report(outcome);
        }

        foreach (var gone in stored.Keys.Except(names))
        {
            await store.RemoveAsync(gone, cancellationToken);
            outcomes.Add(new(gone, IngestState.Removed));
            progress?.Report(outcomes[^1]);
        }

        return new(outcomes);
    }

    private async Task<IngestOutcome> IngestAsync(string name, StoredDocument? stored, CancellationToken cancellationToken)
    {
        try
        {
            var document = await folder.ReadAsync(name, cancellationToken);
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
        catch (RagException failure)
        {
            return new(name, IngestState.Failed, stored?.Passages ?? 0, stored?.Questions ?? 0, Error: failure.Message);
        }
    }

    private string Fingerprint(SourceDocument document) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"{Recipe} {document.ContentHash} {_chunking.MaxTokens} {_chunking.OverlapTokens} {_chunking.EmbedHeadings} {questions.Settings} {embedder.Engine.ModelName}"))));
}
