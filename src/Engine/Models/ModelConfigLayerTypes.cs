using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>Which layers attend through a sliding window: <c>layer_types</c>, <c>sliding_window</c> and their switches.</summary>
internal static class ModelConfigLayerTypes
{
    private const string Full = "full_attention";
    private const string Sliding = "sliding_attention";

    // transformers' Qwen2Config and MistralConfig.
    private const int DefaultWindow = 4096;
    private const int DefaultMaxWindowLayers = 28;

    /// <summary>The window and the layers it is on; null and empty where no layer slides.</summary>
    public static (int? Window, IReadOnlyList<bool> Layers) Read(
        ModelConfigFields fields, ModelFolderProblems problems, ModelConfigFamily family, int? layers)
    {
        var window = ReadWindow(fields, family);
        var sliding = fields.Value("layer_types") is null
            ? FromSwitches(fields, family, window, layers ?? 0)
            : FromTypes(fields, problems, layers);
        if (!sliding.Contains(true))
            return (null, []);
        if (window is null)
        {
            problems.Add(family.Window == ModelConfigWindow.None
                ? $"layer_types: found {Sliding}, which {family.Architecture} does not have; wanted {Full} only"
                : $"layer_types: found {Sliding}, but no window is in effect (sliding_window, use_sliding_window)");
        }

        return (window, sliding);
    }

    private static int? ReadWindow(ModelConfigFields fields, ModelConfigFamily family) => family.Window switch
    {
        ModelConfigWindow.None => null,
        ModelConfigWindow.Gated when fields.Bool("use_sliding_window") != true => null,
        // An explicit null turns the window off.
        _ => fields.Has("sliding_window") ? fields.Int("sliding_window", 1, int.MaxValue) : DefaultWindow,
    };

    private static bool[] FromSwitches(ModelConfigFields fields, ModelConfigFamily family, int? window, int layers)
    {
        if (window is null)
            return [];
        var first = family.Window == ModelConfigWindow.Gated
            ? fields.Int("max_window_layers", 0, int.MaxValue) ?? DefaultMaxWindowLayers
            : 0;
        return [.. Enumerable.Range(0, layers).Select(layer => layer >= first)];
    }

    private static bool[] FromTypes(ModelConfigFields fields, ModelFolderProblems problems, int? layers)
    {
        if (fields.Texts("layer_types") is not { } types)
            return [];
        if (layers is not null && types.Count != layers)
            problems.Add($"layer_types: found {types.Count} entries, wanted num_hidden_layers ({layers})");
        if (types.FirstOrDefault(type => type is not (Full or Sliding)) is { } unknown)
            problems.Add($"layer_types: found {ModelFolderProblems.Quote(unknown)}, wanted {Full} or {Sliding}");
        return [.. types.Select(type => type == Sliding)];
    }
}
