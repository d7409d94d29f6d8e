using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>PyTorch's names of the types that a model can be computed in; the one list for config.json and for options.</summary>
internal static class ModelDtypes
{
    /// <summary>The names, for messages.</summary>
    public const string Allowed = "float32 (float), bfloat16, float16 (half)";

    private const string Prefix = "torch.";

    /// <summary>The type for a name, with or without the prefix <c>torch.</c>; null: unknown.</summary>
    public static ModelDtype? Find(string name) => (name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name) switch
    {
        "float32" or "float" => ModelDtype.Float32,
        "bfloat16" => ModelDtype.BFloat16,
        "float16" or "half" => ModelDtype.Float16,
        _ => null,
    };

    /// <summary>The corresponding tensor type.</summary>
    public static ScalarType ToScalarType(this ModelDtype dtype) => dtype switch
    {
        ModelDtype.Float16 => ScalarType.Float16,
        ModelDtype.BFloat16 => ScalarType.BFloat16,
        _ => ScalarType.Float32,
    };

    /// <summary>The type that config.json names: in <c>dtype</c>, which transformers writes since version 4.56, else in <c>torch_dtype</c>.
    /// Null where it names none, or <c>auto</c>.</summary>
    /// <param name="fields">The file; an unknown name is added to its problems.</param>
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
