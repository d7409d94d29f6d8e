using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Search;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Search;

public sealed class SearchTests(ShippedRag rag)
{
    private const string Question = "What is the power of the Ember server?";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Flat_arrays_give_the_scores_of_the_engines_own_type()
    {
        string[] texts = [Question, "The power of the Ember server is 903 watts.", "Zenith泵的压力是412巴。"];
        var engine = rag.Get<TextEmbedder>().Engine;
        var embeddings = await engine.EmbedAsync(texts, engine.Kinds, cancellationToken: Token);
        var vectors = await rag.Get<TextEmbedder>().EmbedAsync(texts, Token);
        var weights = new HybridWeights(0.5, 0.2, 0.7);
        for (var i = 1; i < texts.Length; i++)
        {
            var scores = Scores.Of(vectors[0], vectors[i], weights);
            Assert.Equal(TextEmbedding.DenseScore(embeddings[0], embeddings[i]), scores.Dense, 5);
            Assert.Equal(TextEmbedding.SparseScore(embeddings[0], embeddings[i]) / TextEmbedding.SparseScore(embeddings[0], embeddings[0]), scores.Sparse, 5);
            Assert.Equal(TextEmbedding.MultiVectorScore(embeddings[0], embeddings[i]), scores.MultiVector, 5);
            Assert.Equal(((0.5 * scores.Dense) + (0.2 * Math.Min(1, scores.Sparse)) + (0.7 * scores.MultiVector)) / 1.4, scores.Hybrid, 5);
        }
    }

    [Fact]
    public async Task A_name_of_many_tokens_lifts_no_score_beyond_one()
    {
        var weights = new HybridWeights(1, 0.3, 1);
        foreach (var text in new[] { "Where does Tom Lee live?", "Who leads Archibald Featherstonehaugh-Cholmondeley the Third?", "什么是锟斤拷烫烫烫？" })
        {
            var vectors = await rag.Get<TextEmbedder>().EmbedAsync([text, $"{text} {text}"], Token);
            Assert.Equal(1, Scores.Of(vectors[0], vectors[0], weights).Hybrid, 4);
            Assert.InRange(Scores.Of(vectors[0], vectors[1], weights).Hybrid, -1, 1.0001);
        }
    }

    [Fact]
    public async Task The_best_passage_comes_first_each_once_and_none_below_the_thresholds()
    {
        var hits = await rag.Get<HybridSearch>().FindAsync(Question, Token);
        Assert.Contains("The power of the Ember server is 903 watts.", hits[0].Passage.Text, StringComparison.Ordinal);
        Assert.Equal(hits.Count, hits.DistinctBy(hit => hit.Passage).Count());
        Assert.Equal(hits.Select(hit => hit.Scores.Hybrid).OrderDescending(), hits.Select(hit => hit.Scores.Hybrid));
        Assert.True(hits.Count > 1);
        Assert.Single(await rag.With<HybridSearch>(options => options.Search.RelativeThreshold = 1).FindAsync(Question, Token));
        Assert.Single(await rag.With<HybridSearch>(options => options.Search.Passages = 1).FindAsync(Question, Token));
        Assert.Empty(await rag.With<HybridSearch>(options => options.Search.Threshold = 5).FindAsync(Question, Token));
    }

    [Fact]
    public async Task A_question_speaks_for_its_passage()
    {
        var hit = (await rag.Get<HybridSearch>().RankAsync("What is the color of the Sigma server?", Token))[0];
        Assert.Equal("What is the color of the Sigma server?", hit.Question?.Question);
        Assert.Equal(hit.Scores.Hybrid, (await rag.Get<HybridSearch>().RankAsync(hit.Question!.Question, Token)).Max(other => other.Scores.Hybrid));
    }

    [Fact]
    public async Task A_question_in_another_language_finds_the_passage()
    {
        var hits = await rag.Get<HybridSearch>().FindAsync("What is the pressure of the Zenith pump?", Token);
        Assert.Contains("Zenith泵的压力是412巴。", hits[0].Passage.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_model_is_shown_sentences_that_answer_or_whole_passages()
    {
        var sentences = await rag.Get<SourceFinder>().FindAsync(Question, Token);
        Assert.Equal("The power of the Ember server is 903 watts.", Assert.Single(sentences.Shown).Text);
        var passages = await rag.With<SourceFinder>(options => options.Answer.Sources = Rag.Configuration.SourceForm.Passages).FindAsync(Question, Token);
        Assert.Equal(passages.Hits.Select(hit => hit.Passage.Text), passages.Shown.Select(source => source.Text));
    }

    [Fact]
    public async Task Where_no_sentence_fits_the_model_is_shown_nothing()
    {
        var found = await rag.Get<SourceFinder>().FindAsync("What is the speed of the Harbor server?", Token);
        Assert.NotEmpty(found.Hits);
        Assert.Empty(found.Shown);
    }
}
