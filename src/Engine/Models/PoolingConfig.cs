using System.Text.Json;
using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>How a text's dense vector comes from its hidden states, as sentence-transformers' <c>modules.json</c> and <c>1_Pooling/config.json</c> say.</summary>
/// <param name="IsMean">The mean of all tokens; false: the first token's.</param>
/// <param name="Normalizes">Whether the vector is brought to length 1.</param>
internal sealed record PoolingConfig(bool IsMean, bool Normalizes)
{
    private const string Modules = "modules.json";
    private const int MaxBytes = 1 << 20;

    /// <summary>Reads a model folder.</summary>
    /// <exception cref="EngineException">Kind ModelFolder: a file is missing or malformed, or asks for another way.</exception>
    public static PoolingConfig Load(string folder)
    {
        if (!File.Exists(Path.Combine(folder, Modules)))
            throw EngineException.ModelFolder(Modules, "is missing; it says how an encoder's hidden states become one vector. Take the model's whole folder, with 1_Pooling.");
        var (pooling, normalizes) = ReadModules(folder);
        var name = $"{pooling}/config.json";
        var problems = new ModelFolderProblems(name);
        using var document = ModelFolderFile.ParseObject(name, ModelFolderFile.ReadJson(Path.Combine(folder, pooling), "config.json", MaxBytes));
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        var (cls, mean) = (fields.Bool("pooling_mode_cls_token") ?? false, fields.Bool("pooling_mode_mean_tokens") ?? false);
        foreach (var other in (string[])["pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"])
        {
            if (fields.Bool(other) == true)
                fields.Refuse(other, "false: the first token and the mean are supported");
        }

        if (cls == mean)
            problems.Add($"pooling_mode_cls_token is {cls} and pooling_mode_mean_tokens is {mean}; wanted one of them");
        problems.ThrowIfAny();
        return new(mean, normalizes);
    }

    private static (string Pooling, bool Normalizes) ReadModules(string folder)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(ModelFolderFile.ReadJson(folder, Modules, MaxBytes));
        }
        catch (JsonException failure)
        {
            throw EngineException.ModelFolder(Modules, "is not valid JSON", failure);
        }

        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Array)
                throw EngineException.ModelFolder(Modules, $"found {ModelConfigFields.Describe(document.RootElement)}, wanted a list of modules");
            var (pooling, normalizes) = ((string?)null, false);
            foreach (var module in document.RootElement.EnumerateArray())
            {
                switch (TextOf(module, "type")?.Split('.')[^1])
                {
                    case "Transformer":
                        break;
                    case "Pooling":
                        pooling = TextOf(module, "path");
                        break;
                    case "Normalize":
                        normalizes = true;
                        break;
                    case var other:
                        throw EngineException.ModelFolder(Modules, $"a module of type {ModelFolderProblems.Quote(other ?? "(none)")} is not supported; wanted Transformer, Pooling and Normalize");
                }
            }

            // A name below the folder, and nothing else.
            return pooling is not null && pooling.Length > 0 && Path.GetFileName(pooling) == pooling && pooling is not ("." or "..")
                ? (pooling, normalizes)
                : throw EngineException.ModelFolder(Modules, "has no module of type Pooling with the name of a folder as its path");
        }
    }

    private static string? TextOf(JsonElement module, string name) =>
        module.ValueKind == JsonValueKind.Object && module.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
