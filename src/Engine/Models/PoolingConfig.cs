using System.Text.Json;
using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// How to compute a text's dense vector from its hidden states, according to sentence-transformers' <c>modules.json</c> and
/// <c>1_Pooling/config.json</c>.
/// </summary>
/// <param name="IsMean">Whether to take the mean of all tokens; false: the first token's hidden state.</param>
/// <param name="Normalizes">Whether to scale the vector to length 1.</param>
internal sealed record PoolingConfig(bool IsMean, bool Normalizes)
{
    private const string Modules = "modules.json";
    private const string ModePrefix = "pooling_mode_";
    private const string Cls = ModePrefix + "cls_token";
    private const string Mean = ModePrefix + "mean_tokens";
    private const string Wanted = "the first token (cls) and the mean are supported";
    private const int MaxBytes = 1 << 20;
    private const int MaxModules = 16;

    /// <summary>Reads a model folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="hiddenSize">Width of the hidden states.</param>
    /// <exception cref="EngineException">Kind ModelFolder: a file is missing or malformed, contradicts itself, or asks for another
    /// kind of pooling.</exception>
    public static PoolingConfig Load(string folder, int hiddenSize)
    {
        if (!Path.Exists(Path.Combine(folder, Modules)))
            throw EngineException.ModelFolder(Modules, "is missing; it says how an encoder's hidden states become one vector. Take the model's whole folder, with 1_Pooling.");
        var (pooling, normalizes) = ReadModules(folder);
        var name = $"{pooling}/config.json";
        var problems = new ModelFolderProblems(name);
        using var document = ModelFolderFile.ParseObject(name, ModelFolderFile.ReadBytes(Path.Combine(folder, pooling, "config.json"), name, MaxBytes, "a JSON object"));
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        var isMean = ReadMode(fields, problems);
        if (fields.Int("word_embedding_dimension", 1, int.MaxValue) is { } width && width != hiddenSize)
            fields.Refuse("word_embedding_dimension", $"{hiddenSize}, the hidden_size of {ModelConfig.FileName}");
        problems.ThrowIfAny();
        return new(isMean, normalizes);
    }

    // One of the two modes, written as a boolean for each or as one name.
    private static bool ReadMode(ModelConfigFields fields, ModelFolderProblems problems)
    {
        var (cls, mean) = (fields.Bool(Cls) ?? false, fields.Bool(Mean) ?? false);
        foreach (var field in fields.All.Where(field => field.Name.StartsWith(ModePrefix, StringComparison.Ordinal) && field.Name is not (Cls or Mean)))
        {
            if (fields.Bool(field.Name) == true)
                fields.Refuse(field.Name, $"false: {Wanted}");
        }

        var named = fields.Text("pooling_mode");
        if (named is not (null or "cls" or "mean"))
            fields.Refuse("pooling_mode", $"cls or mean: {Wanted}");
        else if (named is not null && ((cls && named != "cls") || (mean && named != "mean")))
            problems.Add($"pooling_mode is {named}, {Cls} is {Json(cls)} and {Mean} is {Json(mean)}; wanted one way");
        else if (named is null && cls == mean)
            problems.Add($"{Cls} is {Json(cls)} and {Mean} is {Json(mean)}; wanted one of them true, and no other mode");
        return mean || named == "mean";
    }

    private static (string Pooling, bool Normalizes) ReadModules(string folder)
    {
        using var document = Parse(ModelFolderFile.ReadJson(folder, Modules, MaxBytes));
        if (document.RootElement.ValueKind != JsonValueKind.Array || document.RootElement.GetArrayLength() > MaxModules)
            throw EngineException.ModelFolder(Modules, $"found {ModelConfigFields.Describe(document.RootElement)}, wanted a list of at most {MaxModules} modules");
        var (transformer, pooling, normalizes) = (false, (string?)null, false);
        foreach (var module in document.RootElement.EnumerateArray())
        {
            var type = TextOf(module, "type");
            switch (type?.Split('.')[^1])
            {
                case "Transformer" when !transformer && pooling is null && !normalizes:
                    transformer = true;
                    break;
                case "Pooling" when pooling is null && !normalizes:
                    pooling = FolderOf(module);
                    break;
                case "Normalize" when pooling is not null && !normalizes:
                    normalizes = true;
                    break;
                case "Transformer" or "Pooling" or "Normalize":
                    throw EngineException.ModelFolder(Modules, $"a module of type {ModelFolderProblems.Quote(type)} stands twice or out of its order; wanted Transformer, Pooling and, if need be, Normalize");
                default:
                    throw EngineException.ModelFolder(Modules, $"a module of type {ModelFolderProblems.Quote(type ?? "(none)")} is not supported; wanted Transformer, Pooling and, if need be, Normalize");
            }
        }

        return (pooling ?? throw EngineException.ModelFolder(Modules, "has no module of type Pooling; wanted one, with the name of its folder as its path"), normalizes);
    }

    private static JsonDocument Parse(byte[] utf8)
    {
        try
        {
            return JsonDocument.Parse(utf8, new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escaped lone surrogate in a name cannot become text.
            throw EngineException.ModelFolder(Modules, "is not valid JSON: " + failure.Message, failure);
        }
    }

    // Only a plain name below the model's folder is allowed.
    private static string FolderOf(JsonElement module)
    {
        var path = TextOf(module, "path");
        return path is { Length: > 0 and <= 255 } && path[0] != '.' && path.All(character => char.IsAsciiLetterOrDigit(character) || character is '_' or '-' or '.')
            ? path
            : throw EngineException.ModelFolder(Modules, $"the path of Pooling is {ModelFolderProblems.Quote(path ?? "(none)")}; wanted the name of a folder, such as 1_Pooling");
    }

    private static string? TextOf(JsonElement module, string name) => module.ValueKind == JsonValueKind.Object ? new ModelConfigFields(module, "", new(Modules)).Text(name) : null;

    private static string Json(bool value) => value ? "true" : "false";
}
