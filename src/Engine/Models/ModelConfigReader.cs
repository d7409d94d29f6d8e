using System.Text.Json;
using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>Turns an untrusted config.json into its family's record, or into one error that lists every problem.</summary>
internal static class ModelConfigReader
{
    /// <summary>Finds the family and reads the configuration with it.</summary>
    /// <exception cref="EngineException">There is at least one problem.</exception>
    public static ModelConfig Read(JsonElement root)
    {
        var problems = new ModelFolderProblems(ModelConfig.FileName);
        var fields = new ModelConfigFields(root, "", problems);
        if (fields.Value("text_config") is not null)
            fields.Refuse("text_config", "no nested configuration: only text models are supported");
        if (Find(fields, problems) is not var (family, source))
        {
            problems.ThrowIfAny();
            throw new InvalidOperationException("No architecture was found, but no problem was reported.");
        }

        var config = family.ReadConfig(source);
        problems.ThrowIfAny();
        return config;
    }

    private static (DecoderFamily Family, ModelConfigSource Source)? Find(ModelConfigFields fields, ModelFolderProblems problems)
    {
        var known = ModelRegistry.Decoders.SelectMany(family => family.Architectures,
            (family, one) => (Family: family, one.Name, one.ModelType)).ToArray();
        var supported = string.Join(", ", known.Select(one => one.Name));
        if (fields.Value("architectures") is null)
        {
            // Without a class name the model type decides, as in transformers' AutoModelForCausalLM.
            var type = fields.Text("model_type");
            if (known.FirstOrDefault(one => one.ModelType == type) is { Family: not null } byType)
                return (byType.Family, new(fields, problems, byType.Name, [byType.Name], byType.ModelType));
            fields.Refuse("architectures", $"a list with one of {supported}");
            return null;
        }

        if (fields.Texts("architectures") is not { } architectures)
            return null;
        foreach (var architecture in architectures)
        {
            if (known.FirstOrDefault(one => one.Name == architecture) is { Family: not null } found)
                return (found.Family, new(fields, problems, architecture, architectures, fields.Text("model_type") ?? found.ModelType));
        }

        var given = architectures.Count == 0 ? "an empty list"
            : string.Join(", ", architectures.Take(4).Select(ModelFolderProblems.Quote));
        problems.Add($"architectures: found {given}, which this build does not support; wanted one of {supported}");
        return null;
    }
}
