using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>The names of the types that a model is computed in, as PyTorch writes them: one list for config.json and for options.</summary>
internal static class ModelDtypes
{
    /// <summary>The names, for messages.</summary>
    public const string Allowed = "float32 (float), bfloat16, float16 (half)";

    private const string Prefix = "torch.";

    /// <summary>The type of a name, with or without <c>torch.</c> in front; null where there is no such type.</summary>
    public static ModelDtype? Find(string name) => (name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name) switch
    {
        "float32" or "float" => ModelDtype.Float32,
        "bfloat16" => ModelDtype.BFloat16,
        "float16" or "half" => ModelDtype.Float16,
        _ => null,
    };

    /// <summary>The type as tensors have it.</summary>
    public static ScalarType ToScalarType(this ModelDtype dtype) => dtype switch
    {
        ModelDtype.Float16 => ScalarType.Float16,
        ModelDtype.BFloat16 => ScalarType.BFloat16,
        _ => ScalarType.Float32,
    };

    /// <summary>The type that a config.json names: <c>dtype</c>, as transformers writes it from version 4.56 on, else <c>torch_dtype</c>.
    /// Null where it names none, or <c>auto</c>.</summary>
    /// <param name="fields">The file; a name that is no type is refused there.</param>
    public static ModelDtype? Read(ModelConfigFields fields)
    {
        var field = fields.Value("dtype") is null ? "torch_dtype" : "dtype";
        if (fields.Text(field) is not { } name || name == "auto")
            return null;
        if (Find(name) is not { } dtype)
        {
            fields.Refuse(field, Allowed);
            return null;
        }

        return dtype;
    }
}
