using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// What the engine knows about any encoder: its config.json, validated and completed with transformers' defaults. Families add what their
/// models need.
/// </summary>
internal abstract record EncoderConfig
{
    // Several times the largest known file: a larger one means damage or malice.
    private const int MaxBytes = 4 << 20;

    /// <summary>The model class to build.</summary>
    public required string Architecture { get; init; }

    /// <summary>Width of the hidden states.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Rows of the token embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>The type the checkpoint was saved in; null: unknown.</summary>
    public required ModelDtype? Dtype { get; init; }

    /// <summary>Max tokens of a text, special ones included.</summary>
    public abstract int MaxModelLength { get; }

    /// <summary>
    /// Whether a folder's config.json names an encoder. False where the file cannot be read: loading the model reports why.
    /// </summary>
    public static bool IsIn(string folder)
    {
        try
        {
            using var document = ModelFolderFile.ParseObject(ModelConfig.FileName, ModelFolderFile.ReadJson(folder, ModelConfig.FileName, MaxBytes));
            var architectures = new ModelConfigFields(document.RootElement, "", new(ModelConfig.FileName)).Texts("architectures");
            return architectures?.Any(name => FamilyOf(name) is not null) == true;
        }
        catch (EngineException)
        {
            return false;
        }
    }

    /// <summary>Reads config.json of a model folder.</summary>
    /// <exception cref="EngineException">
    /// Kind ModelFolder: the file is missing, malformed, out of range or not an encoder's; one error lists every problem.
    /// </exception>
    public static EncoderConfig Load(string folder)
    {
        using var document = ModelFolderFile.ParseObject(ModelConfig.FileName, ModelFolderFile.ReadJson(folder, ModelConfig.FileName, MaxBytes));
        var problems = new ModelFolderProblems(ModelConfig.FileName);
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        var supported = string.Join(", ", ModelRegistry.Encoders.SelectMany(family => family.Architectures).Select(one => one.Name));
        var architectures = fields.Texts("architectures");
        if (architectures?.FirstOrDefault(name => FamilyOf(name) is not null) is { } architecture)
        {
            var family = FamilyOf(architecture)!;
            var modelType = family.Architectures.Single(one => one.Name == architecture).ModelType;
            var config = family.ReadConfig(new(fields, problems, architecture, architectures, modelType));
            problems.ThrowIfAny();
            return config;
        }

        if (architectures is null)
            fields.Refuse("architectures", $"a list with {supported}");
        else
            problems.Add($"architectures: found {string.Join(", ", architectures.Take(4).Select(ModelFolderProblems.Quote))}, wanted {supported}: "
                + "the model is not a supported encoder; use generate, chat or serve for a model that generates text");
        problems.ThrowIfAny();
        throw new InvalidOperationException("No architecture was found, but no problem was reported.");
    }

    private static EncoderFamily? FamilyOf(string architecture) =>
        ModelRegistry.Encoders.FirstOrDefault(family => family.Architectures.Any(one => one.Name == architecture));
}
