using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Storage;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Storage;

/// <summary>The tests that every store must pass.</summary>
public abstract class PassageStoreContract
{
    private static readonly StoredModel s_model = new("model", 2);

    private protected static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>Opens a store over the same data as the earlier stores of the same test.</summary>
    private protected abstract IPassageStore Open();

    [Fact]
    public async Task What_is_stored_comes_back_whole()
    {
        var store = await OpenedAsync();
        var passage = Passage("a.md", 3, Vectors([1, 0], (5, 0.5f), (9, 0.25f)), "Question?") with { Passage = new("a.md", 3, "A › 标题", PlaceMap.Of(PlaceUnit.Page, [new(0, 7), new(4, 8)]), "Text with 'quotes' and 汉字 😀") { IsHeadingEmbedded = true } };
        await AddAsync(store, "a.md", passage);
        var found = Assert.Single(await store.FindCandidatesAsync(Vectors([1, 0]), 10, Token));
        Assert.Equal(passage.Passage, found.Passage);
        Same(passage.Vectors, found.Vectors);
        Assert.Equal(passage.Questions[0].Pair, Assert.Single(found.Questions).Pair);
        Same(passage.Questions[0].Vectors, found.Questions[0].Vectors);
    }

    [Fact]
    public async Task Candidates_are_the_best_by_dense_and_the_best_by_sparse_each_once()
    {
        var store = await OpenedAsync();
        await AddAsync(
            store,
            "a.md",
            Passage("a.md", 0, Vectors([1, 0])),
            Passage("a.md", 1, Vectors([0.9f, 0.1f])),
            Passage("a.md", 2, Vectors([0, 1], (7, 2f))),
            Passage("a.md", 3, Vectors([0, 1], (7, 1f), (8, 9f))),
            Passage("a.md", 4, Vectors([0.95f, 0], (7, 3f))));
        Assert.Equal([0, 2, 4], await OrdinalsAsync(store, Vectors([1, 0], (7, 1f)), 2));
        Assert.Equal([0, 4], await OrdinalsAsync(store, Vectors([1, 0]), 2));
        Assert.Equal([0, 3], await OrdinalsAsync(store, Vectors([1, 0], (7, 1f), (8, 1f)), 1));
        Assert.Equal([0], await OrdinalsAsync(store, Vectors([1, 0], (99, 1f)), 1));
    }

    [Fact]
    public async Task A_question_brings_its_passage()
    {
        var store = await OpenedAsync();
        var asked = Passage("a.md", 1, Vectors([0, 1])) with { Questions = [new(new("Q?", "A"), Vectors([1, 0])), new(new("P?", "B"), Vectors([0.9f, 0], (3, 1f)))] };
        await AddAsync(store, "a.md", Passage("a.md", 0, Vectors([0.5f, 0.5f])), asked);
        Assert.Equal([1], await OrdinalsAsync(store, Vectors([1, 0]), 1));
        Assert.Equal([1], await OrdinalsAsync(store, Vectors([1, 0], (3, 1f)), 1));
    }

    [Fact]
    public async Task A_document_replaces_the_one_of_its_name_and_goes_with_all_that_is_its_own()
    {
        var store = await OpenedAsync();
        await AddAsync(store, "a.md", Passage("a.md", 0, Vectors([1, 0], (1, 1f)), "Old?"), Passage("a.md", 1, Vectors([1, 0])));
        await AddAsync(store, "b.md", Passage("b.md", 0, Vectors([0, 1])));
        await AddAsync(store, "a.md", Passage("a.md", 0, Vectors([1, 0])));
        Assert.Equal(["a.md", "b.md"], (await store.GetDocumentsAsync(Token)).Select(document => document.Name));
        Assert.Equal(2, (await store.FindCandidatesAsync(Vectors([1, 0], (1, 1f)), 10, Token)).Count);
        await store.RemoveAsync("a.md", Token);
        await store.RemoveAsync("never there", Token);
        Assert.Equal(["b.md"], (await store.FindCandidatesAsync(Vectors([1, 0]), 10, Token)).Select(passage => passage.Passage.Document));
    }

    [Fact]
    public async Task A_document_that_cannot_be_stored_leaves_the_old_one()
    {
        var store = await OpenedAsync();
        await AddAsync(store, "a.md", Passage("a.md", 0, Vectors([1, 0])));
        var broken = Passage("a.md", 1, Vectors([1, 0], (4, 1f), (4, 1f)));
        await Assert.ThrowsAnyAsync<Exception>(() => AddAsync(store, "a.md", Passage("a.md", 0, Vectors([0, 1])), broken));
        var found = Assert.Single(await store.FindCandidatesAsync(Vectors([1, 0]), 10, Token));
        Assert.Equal([1, 0], found.Vectors.Dense);
    }

    [Fact]
    public async Task Another_model_is_refused_and_the_same_one_finds_all_again()
    {
        await AddAsync(await OpenedAsync(), "a.md", Passage("a.md", 0, Vectors([1, 0])));
        var again = await OpenedAsync();
        Assert.Equal(new StoredDocument("a.md", "print", 1, 0), Assert.Single(await again.GetDocumentsAsync(Token)));
        foreach (var other in new StoredModel[] { new("other", 2), new("model", 3) })
        {
            var failure = await Assert.ThrowsAsync<RagException>(() => Open().OpenAsync(other, Token));
            Assert.Contains("ingest again", failure.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_store_belongs_to_the_folder_that_its_documents_are_of()
    {
        Assert.Equal("/a", await (await OpenedAsync()).ClaimAsync("/a", Token));
        var store = await OpenedAsync();
        Assert.Equal("/b", await store.ClaimAsync("/b", Token));
        await AddAsync(store, "a.md", Passage("a.md", 0, Vectors([1, 0])));
        Assert.Equal("/b", await (await OpenedAsync()).ClaimAsync("/c", Token));
    }

    [Fact]
    public async Task Searches_and_changes_may_come_at_once()
    {
        var store = await OpenedAsync();
        await Task.WhenAll(Enumerable.Range(0, 16).Select(async index =>
        {
            await AddAsync(store, $"{index}.md", Passage($"{index}.md", 0, Vectors([1, 0], (index, 1f))));
            await store.FindCandidatesAsync(Vectors([1, 0], (index, 1f)), 5, Token);
        }));
        Assert.Equal(16, (await store.FindCandidatesAsync(Vectors([1, 0]), 100, Token)).Count);
    }

    private protected async Task<IPassageStore> OpenedAsync()
    {
        var store = Open();
        await store.OpenAsync(s_model, Token);
        return store;
    }

    private static Task AddAsync(IPassageStore store, string name, params EmbeddedPassage[] passages) =>
        store.ReplaceAsync(new(name, "print", passages.Length, passages.Sum(passage => passage.Questions.Count)), passages, Token);

    private static async Task<IEnumerable<int>> OrdinalsAsync(IPassageStore store, TextVectors query, int count) =>
        (await store.FindCandidatesAsync(query, count, Token)).Select(passage => passage.Passage.Ordinal).Order();

    private static EmbeddedPassage Passage(string document, int ordinal, TextVectors vectors, string? question = null) =>
        new(new(document, ordinal, "", null, $"text {ordinal}"), vectors, question is null ? [] : [new(new(question, "Answer"), Vectors([0, 1], (2, 1f)))]);

    private static TextVectors Vectors(float[] dense, params (int Token, float Weight)[] sparse) =>
        new(dense, [.. sparse.Select(token => token.Token)], [.. sparse.Select(token => token.Weight)], [[1, 2], [3, 4]]);

    private static void Same(TextVectors wanted, TextVectors found)
    {
        Assert.Equal(wanted.Dense, found.Dense);
        Assert.Equal(wanted.SparseTokens, found.SparseTokens);
        Assert.Equal(wanted.SparseWeights, found.SparseWeights);
        Assert.Equal(wanted.TokenVectors, found.TokenVectors);
    }
}
