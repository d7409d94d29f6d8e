using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Configuration;

/// <summary>Finds everything that is wrong with the section <c>Rag</c>, in one go.</summary>
internal sealed class RagOptionsValidator : IValidateOptions<RagOptions>
{
    // Far above any useful weight, and still small enough that sums of weighted scores stay finite.
    private const double MaxWeight = 1000;

    public ValidateOptionsResult Validate(string? name, RagOptions options)
    {
        var faults = new List<string>();
        Require(options.Documents.Folder.Length > 0, "Documents:Folder is empty; name a folder");
        Require(options.Documents.MaxFileBytes > 0, $"Documents:MaxFileBytes is {options.Documents.MaxFileBytes}; allowed: 1 or more");
        Require(options.Documents.MaxPdfPages > 0, $"Documents:MaxPdfPages is {options.Documents.MaxPdfPages}; allowed: 1 or more");
        Require(options.Documents.ReadTimeout > TimeSpan.Zero && options.Documents.ReadTimeout <= TimeSpan.FromHours(1), $"Documents:ReadTimeout is {options.Documents.ReadTimeout}; allowed: more than 0 and at most an hour");
        Require(options.Documents.RefreshInterval >= TimeSpan.Zero && options.Documents.RefreshInterval <= TimeSpan.FromDays(1), $"Documents:RefreshInterval is {options.Documents.RefreshInterval}; allowed: 0 to a day");
        Require(options.Chunking.MaxTokens >= 16, $"Chunking:MaxTokens is {options.Chunking.MaxTokens}; allowed: 16 or more");
        Require(options.Chunking.OverlapTokens >= 0 && options.Chunking.OverlapTokens < options.Chunking.MaxTokens, $"Chunking:OverlapTokens is {options.Chunking.OverlapTokens}; allowed: 0 to less than Chunking:MaxTokens ({options.Chunking.MaxTokens})");
        Require(options.Questions.PerPassage is >= 0 and <= 100, $"Questions:PerPassage is {options.Questions.PerPassage}; allowed: 0 to 100");
        Require(options.Questions.Concurrency is >= 1 and <= 1024, $"Questions:Concurrency is {options.Questions.Concurrency}; allowed: 1 to 1024");
        Require(options.Store.Kind != StoreKind.Sqlite || options.Store.Path.Length > 0, "Store:Path is empty; name a file, or set Store:Kind to Postgres");
        Require(options.Store.Kind != StoreKind.Postgres || options.Store.ConnectionString.Length > 0, "Store:ConnectionString is empty; give one, such as \"Host=localhost;Database=rag\", or set Store:Kind to Sqlite");
        Require(options.Store.Schema.Length is > 0 and <= 63 && options.Store.Schema.All(c => c is '_' or (>= 'a' and <= 'z') or (>= '0' and <= '9')), $"Store:Schema is '{options.Store.Schema}'; allowed: 1 to 63 of a-z, 0-9 and _");
        var weights = options.Search.Weights;
        Require(IsWeight(weights.Dense) && IsWeight(weights.Sparse) && IsWeight(weights.MultiVector) && weights.Dense + weights.Sparse + weights.MultiVector > 0, $"Search:Weights are {weights.Dense}, {weights.Sparse} and {weights.MultiVector}; allowed: 0 to {MaxWeight}, at least one above 0");
        Require(double.IsFinite(options.Search.Threshold), $"Search:Threshold is {options.Search.Threshold}; give a number");
        Require(double.IsFinite(options.Search.SentenceThreshold), $"Search:SentenceThreshold is {options.Search.SentenceThreshold}; give a number");
        Require(options.Search.SentenceRelativeThreshold is >= 0 and <= 1, $"Search:SentenceRelativeThreshold is {options.Search.SentenceRelativeThreshold}; allowed: 0 to 1");
        Require(double.IsFinite(options.Search.NearThreshold), $"Search:NearThreshold is {options.Search.NearThreshold}; give a number");
        Require(double.IsFinite(options.Questions.Threshold), $"Questions:Threshold is {options.Questions.Threshold}; give a number");
        Require(options.Search.RelativeThreshold is >= 0 and <= 1, $"Search:RelativeThreshold is {options.Search.RelativeThreshold}; allowed: 0 to 1");
        Require(options.Search.Candidates is >= 1 and <= 10_000, $"Search:Candidates is {options.Search.Candidates}; allowed: 1 to 10000");
        Require(options.Search.Passages is >= 1 and <= 100, $"Search:Passages is {options.Search.Passages}; allowed: 1 to 100");
        Require(options.Answer.Sentences is >= 1 and <= 100, $"Answer:Sentences is {options.Answer.Sentences}; allowed: 1 to 100");
        Require(options.Answer.Prompt.Contains("{sources}", StringComparison.Ordinal) && options.Answer.Prompt.Contains("{question}", StringComparison.Ordinal), "Answer:Prompt lacks {sources} or {question}; put both into it");
        Require(!options.Answer.Quote || !Enum.IsDefined(options.Answer.Search) || !Enum.IsDefined(options.Answer.Sources) || options.Answer is { Search: SearchMode.Context, Sources: SourceForm.Sentences }, $"Answer:Quote needs Answer:Search Context and Answer:Sources Sentences, but they are {options.Answer.Search} and {options.Answer.Sources}");
        Require(options.Answer.NotFound.Length > 0, "Answer:NotFound is empty; say what is answered where the documents do not tell");
        Require(options.Answer.MaxTokens >= 1, $"Answer:MaxTokens is {options.Answer.MaxTokens}; allowed: 1 or more");
        Require(options.Answer.Temperature is >= 0 and <= 2, $"Answer:Temperature is {options.Answer.Temperature}; allowed: 0 to 2");
        RequireName(options.Questions.Method, "Questions:Method");
        RequireName(options.Search.SentenceCheck, "Search:SentenceCheck");
        RequireName(options.Store.Kind, "Store:Kind");
        RequireName(options.Answer.Search, "Answer:Search");
        RequireName(options.Answer.Sources, "Answer:Sources");
        RequireName(options.Answer.FollowUps, "Answer:FollowUps");
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults.Select(fault => $"{RagOptions.SectionName}:{fault}."));

        // Binding accepts any number for an enumeration, even one that has no name.
        void RequireName<T>(T value, string key)
            where T : struct, Enum => Require(Enum.IsDefined(value), $"{key} is {value}; allowed: {string.Join(", ", Enum.GetNames<T>())}");

        void Require(bool holds, string fault)
        {
            if (!holds)
                faults.Add(fault);
        }
    }

    private static bool IsWeight(double weight) => weight is >= 0 and <= MaxWeight;
}
