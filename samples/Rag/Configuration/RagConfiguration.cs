using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Configuration;

namespace LocalLlm.Samples.Rag.Configuration;

/// <summary>
/// Builds the configuration. Later sources override earlier ones: appsettings.json, appsettings.MODEL.json of the chat model and of the
/// embedding model (a prompt fits one model, and so does a threshold), the environment (<c>Rag__Search__Passages=3</c>), the command line.
/// </summary>
internal static class RagConfiguration
{
    private const string ChatModel = "LocalLlm:ModelPath";
    private const string DocumentsFolder = "Rag:Documents:Folder";
    private const string EmbeddingModel = "LocalLlmEmbeddings:ModelPath";

    /// <param name="commandLine">Keys and values of the command line.</param>
    /// <exception cref="RagException">The section <c>Rag</c> has unknown settings, or values of another type.</exception>
    public static IConfigurationRoot Build(IReadOnlyDictionary<string, string?> commandLine)
    {
        var models = Builder().AddEnvironmentVariables().AddInMemoryCollection(commandLine).Build();
        var configuration = Builder()
            .AddJsonFile($"appsettings.{NameOf(models[ChatModel])}.json", optional: true)
            .AddJsonFile($"appsettings.{NameOf(models[EmbeddingModel])}.json", optional: true)
            .AddEnvironmentVariables()
            .AddInMemoryCollection(commandLine)
            .Build();
        if (SettingNames.FaultsOf(configuration).ToArray() is { Length: > 0 } faults)
            throw new RagException(string.Join(" ", faults.Select(fault => fault + ".")));
        // The documents folder comes before the store, because the store's path may contain its name.
        string[] paths = [ChatModel, EmbeddingModel, DocumentsFolder, "Rag:Store:Path", "Rag:Search:Synonyms"];
        foreach (var key in paths.Where(key => !string.IsNullOrEmpty(configuration[key])))
        {
            var path = configuration[key]!.Replace("{model}", NameOf(models[EmbeddingModel]), StringComparison.Ordinal);
            configuration[key] = InRepository(key == DocumentsFolder ? path : path.Replace("{documents}", NameOfFolder(configuration[DocumentsFolder]), StringComparison.Ordinal));
        }

        return configuration;
    }

    /// <summary>
    /// The folder's name, and a few digits of a hash of its full path, so that two folders of one name have different stores.
    /// </summary>
    private static string NameOfFolder(string? folder)
    {
        if (string.IsNullOrEmpty(folder))
            return "none";
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        return $"{NameOf(full)}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(full)))[..8]}";
    }

    private static IConfigurationBuilder Builder() => new ConfigurationBuilder().SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json");

    /// <summary>The last part of a folder's path or of <c>org/name</c>.</summary>
    private static string NameOf(string? model) => Path.GetFileName(model?.TrimEnd('/', '\\')) is { Length: > 0 } name ? name : "none";

    /// <summary>A path that starts like one of this repository's folders works from any directory; any other path is unchanged.</summary>
    internal static string InRepository(string path)
    {
        if (Path.IsPathRooted(path) || Path.Exists(path) || path.Split('/')[0] is not ("models" or "samples" or "artifacts"))
            return path;
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Connector.sln")))
                return Path.Combine(folder, path);
        }

        return path;
    }
}
