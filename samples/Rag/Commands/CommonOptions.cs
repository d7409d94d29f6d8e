using System.CommandLine;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace LocalLlm.Samples.Rag.Commands;

/// <summary>Options of every command; each stands for a setting.</summary>
internal sealed class CommonOptions
{
    private readonly Option<string> _model = Text("--model", "The chat model: a folder, or org/name from Hugging Face or ModelScope.", "MODEL");
    private readonly Option<string> _embeddingModel = Text("--embedding-model", "The embedding model, such as BAAI/bge-m3.", "MODEL");
    private readonly Option<string> _documents = Text("--documents", "The folder of documents (Markdown, text, PDF).", "FOLDER");
    private readonly Option<string> _store = Text("--store", "The store: an SQLite file, or a connection string of PostgreSQL such as \"Host=localhost;Database=rag\".", "FILE");
    private readonly Option<string[]> _set = new("--set") { Description = "Any other setting, such as Rag:Search:Passages=3; may be given more than once.", HelpName = "KEY=VALUE", Recursive = true };

    public void AddTo(RootCommand root)
    {
        foreach (var option in new Option[] { _model, _embeddingModel, _documents, _store, _set })
            root.Options.Add(option);
    }

    /// <summary>All settings; those of the command line override all others.</summary>
    public IConfigurationRoot Configuration(ParseResult result)
    {
        var settings = new Dictionary<string, string?>();
        foreach (var setting in result.GetValue(_set) ?? [])
        {
            if (setting.Split('=', 2) is not [{ Length: > 0 } key, var value])
                throw new RagException($"--set '{setting}' is no setting; give KEY=VALUE, such as Rag:Search:Passages=3");
            if (SettingNames.FaultOfKey(key) is { } fault)
                throw new RagException($"--set '{setting}': {fault}");
            settings[key] = value;
        }

        Set("LocalLlm:ModelPath", result.GetValue(_model));
        Set("LocalLlmEmbeddings:ModelPath", result.GetValue(_embeddingModel));
        Set("Rag:Documents:Folder", result.GetValue(_documents));
        var store = result.GetValue(_store);
        var isConnection = store is not null && IsConnection(store);
        Set("Rag:Store:Kind", store is null ? null : isConnection ? nameof(StoreKind.Postgres) : nameof(StoreKind.Sqlite));
        Set(isConnection ? "Rag:Store:ConnectionString" : "Rag:Store:Path", store);
        return RagConfiguration.Build(settings);

        void Set(string key, string? value)
        {
            if (value is not null)
                settings[key] = value;
        }
    }

    /// <summary>
    /// Whether a store is a connection string: it has a keyword that Npgsql knows. A faulty connection string is still not a file name.
    /// </summary>
    internal static bool IsConnection(string store)
    {
        if (store.StartsWith("postgres://", StringComparison.OrdinalIgnoreCase) || store.StartsWith("postgresql://", StringComparison.OrdinalIgnoreCase))
            throw new RagException($"--store is an address ({store.Split(':')[0]}://…); give a connection string such as \"Host=localhost;Database=rag;Username=rag\", or a file");
        var keywords = new NpgsqlConnectionStringBuilder();
        return !File.Exists(store) && store.Split(';').Any(part => part.Split('=', 2) is [var key, _] && key.Trim() is { Length: > 0 } keyword && keywords.ContainsKey(keyword));
    }

    private static Option<string> Text(string name, string description, string helpName) => new(name) { Description = description, HelpName = helpName, Recursive = true };
}
