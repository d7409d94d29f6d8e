using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Samples.Rag.Questions;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Configuration;

internal static class RagServices
{
    /// <summary>Registers everything from reading documents to answering.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="configuration">The sections <c>Rag</c>, <c>LocalLlm</c> and <c>LocalLlmEmbeddings</c>.</param>
    /// <param name="withChatModel">Whether a chat model is loaded: searching needs none.</param>
    /// <param name="log">Receives the report of what is ingested; null: no report.</param>
    public static IServiceCollection AddRag(this IServiceCollection services, IConfiguration configuration, bool withChatModel = true, TextWriter? log = null)
    {
        services.AddSingleton(configuration);
        services.AddOptions<RagOptions>().Bind(configuration.GetSection(RagOptions.SectionName), binder => binder.ErrorOnUnknownConfiguration = true).ValidateOnStart();
        services.AddSingleton<IValidateOptions<RagOptions>, RagOptionsValidator>();

        services.AddLocalLlmEmbeddings();
        if (withChatModel)
        {
            services.AddLocalLlm();
            services.AddSingleton<WrittenQuestions>().AddSingleton<ChosenQuestions>();
            services.AddSingleton<IQuestionWriter>(provider => provider.GetRequiredService<IOptions<RagOptions>>().Value.Questions.Method == QuestionMethod.Written
                ? provider.GetRequiredService<WrittenQuestions>()
                : provider.GetRequiredService<ChosenQuestions>());
            services.AddSingleton<FollowUp>().AddSingleton<SentenceChoice>().AddSingleton<SourceFinder>().AddSingleton<DocumentAgent>();
        }

        services.AddSingleton<DocumentFolder>().AddSingleton<TokenCounter>().AddSingleton<TextEmbedder>().AddSingleton<HybridSearch>();
        services.AddSingleton(provider => new QuestionMaker(provider.GetService<IQuestionWriter>(), provider.GetRequiredService<TextEmbedder>(), provider.GetRequiredService<IOptions<RagOptions>>()));
        services.AddSingleton(TimeProvider.System).AddSingleton(new IngestLog(log ?? TextWriter.Null));
        services.AddSingleton<Ingestion>().AddSingleton<UnreadDocuments>().AddSingleton<FreshDocuments>();
        services.AddSingleton<IPassageStore>(provider => provider.GetRequiredService<IOptions<RagOptions>>() is { Value.Store.Kind: StoreKind.Postgres } options
            ? new PostgresPassageStore(options)
            : new SqlitePassageStore(provider.GetRequiredService<IOptions<RagOptions>>()));
        return services;
    }
}
