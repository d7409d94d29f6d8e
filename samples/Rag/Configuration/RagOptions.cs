namespace LocalLlm.Samples.Rag.Configuration;

/// <summary>
/// The configuration section <c>Rag</c>. The two models have sections of their own, <c>LocalLlm</c> and <c>LocalLlmEmbeddings</c>.
/// </summary>
internal sealed class RagOptions
{
    public const string SectionName = "Rag";

    public DocumentOptions Documents { get; set; } = new();

    public ChunkingOptions Chunking { get; set; } = new();

    public QuestionOptions Questions { get; set; } = new();

    public StoreOptions Store { get; set; } = new();

    public SearchOptions Search { get; set; } = new();

    public AnswerOptions Answer { get; set; } = new();
}

internal sealed class DocumentOptions
{
    /// <summary>The folder that is read, with its subfolders.</summary>
    public string Folder { get; set; } = "";

    public int MaxFileBytes { get; set; } = 64 << 20;

    public int MaxPdfPages { get; set; } = 2000;

    /// <summary>While a program runs, the folder is checked before an answer, at most this often, and what has changed is ingested first.
    /// 0: before every answer.</summary>
    public TimeSpan RefreshInterval { get; set; } = TimeSpan.Zero;

    /// <summary>How long reading one document may take: a hostile document can keep a parser busy forever.</summary>
    public TimeSpan ReadTimeout { get; set; } = TimeSpan.FromSeconds(60);
}

internal sealed class ChunkingOptions
{
    /// <summary>Max tokens of a passage by the embedding model's tokenizer, including special tokens and the heading.</summary>
    public int MaxTokens { get; set; } = 320;

    /// <summary>Up to this many tokens of whole sentences are repeated at the start of the next passage.</summary>
    public int OverlapTokens { get; set; } = 48;

    /// <summary>Whether the headings above a passage are embedded with it: they say what its sentences are about.</summary>
    public bool EmbedHeadings { get; set; } = true;
}

/// <summary>Who writes the questions that a passage answers.</summary>
internal enum QuestionMethod
{
    /// <summary>The model writes pairs freely, in JSON that follows a schema.</summary>
    Written,

    /// <summary>The model chooses words of a sentence for "What is …?" and answers that question: for models too small to write.</summary>
    Chosen,
}

internal sealed class QuestionOptions
{
    /// <summary>Question–answer pairs that the chat model is asked to write for each passage; 0: none.</summary>
    public int PerPassage { get; set; } = 3;

    public QuestionMethod Method { get; set; } = QuestionMethod.Written;

    /// <summary>A pair is dropped unless its question scores at least this against the sentence of its answer.</summary>
    public double Threshold { get; set; } = 0.4;

    /// <summary>How many passages the chat model works on at once.</summary>
    public int Concurrency { get; set; } = 16;
}

internal enum StoreKind
{
    Sqlite,
    Postgres,
}

internal sealed class StoreOptions
{
    public StoreKind Kind { get; set; } = StoreKind.Sqlite;

    /// <summary>
    /// The file of an SQLite store; <c>{model}</c> becomes the embedding model's name, <c>{documents}</c> the name of the documents folder
    /// and a short hash of its full path.
    /// </summary>
    public string Path { get; set; } = "";

    /// <summary>For PostgreSQL, in Npgsql's format.</summary>
    public string ConnectionString { get; set; } = "";

    /// <summary>The PostgreSQL schema that holds the tables.</summary>
    public string Schema { get; set; } = "rag";
}

/// <summary>What makes a sentence good enough to be shown to the model and quoted.</summary>
internal enum SentenceCheck
{
    /// <summary>Its score: for embedding models that can tell apart what they were not trained on.</summary>
    Score,

    /// <summary>Its score, and that it has the question's own words as one phrase: for small embedding models.</summary>
    Words,
}

internal sealed class SearchOptions
{
    public WeightOptions Weights { get; set; } = new();

    /// <summary>Passages with a lower hybrid score are dropped.</summary>
    public double Threshold { get; set; } = 0.4;

    /// <summary>Passages must reach this share of the best one's score.</summary>
    public double RelativeThreshold { get; set; } = 0.7;

    /// <summary>Where the model is shown sentences: the minimum score of each.</summary>
    public double SentenceThreshold { get; set; } = 0.5;

    /// <summary>Where the model is shown sentences: each must reach this share of the best one's score.</summary>
    public double SentenceRelativeThreshold { get; set; } = 0.9;

    public SentenceCheck SentenceCheck { get; set; } = SentenceCheck.Score;

    /// <summary>A file with words that ask for the same, for <see cref="SentenceCheck.Words"/>; empty: none.</summary>
    public string Synonyms { get; set; } = "";

    /// <summary>Under "the context does not say" a passage is shown only if one of its sentences reaches this score: less does not help the
    /// reader.</summary>
    public double NearThreshold { get; set; } = 0.5;

    /// <summary>Passages taken from the dense search and from the sparse one; late interaction ranks their union.</summary>
    public int Candidates { get; set; } = 50;

    /// <summary>Max passages shown.</summary>
    public int Passages { get; set; } = 5;
}

internal sealed class WeightOptions
{
    public double Dense { get; set; } = 0.4;

    public double Sparse { get; set; } = 0.2;

    public double MultiVector { get; set; } = 0.4;

    public HybridWeights ToHybridWeights() => new(Dense, Sparse, MultiVector);
}

/// <summary>Who searches.</summary>
internal enum SearchMode
{
    /// <summary>The model decides when to call the tool, and with which words.</summary>
    Tool,

    /// <summary>As <see cref="Tool"/>, but a grammar makes the model's first step a call.</summary>
    Required,

    /// <summary>The question is searched for before the model speaks: for models that do not call tools well.</summary>
    Context,
}

/// <summary>What the model is shown of the passages found.</summary>
internal enum SourceForm
{
    /// <summary>Whole passages, numbered.</summary>
    Passages,

    /// <summary>The sentences that fit the question best, numbered: for models that whole passages confuse.</summary>
    Sentences,
}

/// <summary>How a question of a chat becomes one that stands alone.</summary>
internal enum FollowUps
{
    /// <summary>It stays as it was typed.</summary>
    AsTyped,

    /// <summary>Rules carry the topic of the last question into it: for models too small to rewrite.</summary>
    Carried,

    /// <summary>The chat model rewrites it; where that fails, the rules do.</summary>
    Rewritten,
}

internal sealed class AnswerOptions
{
    public SearchMode Search { get; set; } = SearchMode.Required;

    public SourceForm Sources { get; set; } = SourceForm.Passages;

    /// <summary>Max sentences shown to the model where <see cref="Sources"/> are sentences.</summary>
    public int Sentences { get; set; } = 4;

    /// <summary>Instructions for the agent; empty: none.</summary>
    public string Instructions { get; set; } = "";

    /// <summary>The user's message where the search comes first, with <c>{sources}</c> and <c>{question}</c>.</summary>
    public string Prompt { get; set; } = "Context:\n{sources}\n\nQuestion: {question}";

    /// <summary>The answer where the documents have none; the model is instructed to use these words too.</summary>
    public string NotFound { get; set; } = "The context does not say.";

    /// <summary>
    /// Whether the answer can only be one of the sentences shown, or <see cref="NotFound"/>: the model chooses under a grammar. Requires
    /// that the search comes first and sentences are shown. For models that are too small to copy names and figures that they have not
    /// learned.
    /// </summary>
    public bool Quote { get; set; }

    /// <summary>With <see cref="Quote"/>: whether the model may answer <see cref="NotFound"/> although a sentence has passed every
    /// check.</summary>
    public bool QuoteMayRefuse { get; set; } = true;

    /// <summary>Whether an answer is withheld if it cites nothing and no passage shown says the same.</summary>
    public bool WithholdUnsupported { get; set; }

    /// <summary>Whether the model reads the earlier turns of a chat.</summary>
    public bool Remember { get; set; } = true;

    /// <summary>How a question of a chat that depends on earlier ones ("And its color?") becomes one that can be searched for.</summary>
    public FollowUps FollowUps { get; set; } = FollowUps.Rewritten;

    public int MaxTokens { get; set; } = 2048;

    public double Temperature { get; set; } = 0.6;
}
