using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>Which layers attend through a sliding window: <c>layer_types</c>, <c>sliding_window</c> and their switches.</summary>
internal static class DecoderLayerTypes
{
    private const string Full = "full_attention";
    private const string Sliding = "sliding_attention";

    // transformers' Qwen2Config and MistralConfig.
    private const int DefaultWindow = 4096;
    private const int DefaultMaxWindowLayers = 28;

    /// <summary>The window and the layers that use it; null and empty where no layer slides.</summary>
    public static (int? Window, IReadOnlyList<bool> Layers) Read(ModelConfigSource source, DecoderDefaults defaults, int? layers)
    {
        var (fields, problems) = (source.Fields, source.Problems);
        var window = ReadWindow(fields, defaults);
        var sliding = fields.Value("layer_types") is null
            ? FromSwitches(fields, defaults, window, layers ?? 0)
            : FromTypes(fields, problems, layers);
        if (!sliding.Contains(true))
            return (null, []);
        if (window is null)
        {
            problems.Add(defaults.Window == SlidingWindowKind.None
                ? $"layer_types: found {Sliding}, which {source.Architecture} does not have; wanted {Full} only"
                : $"layer_types: found {Sliding}, but no window is in effect (sliding_window, use_sliding_window)");
        }

        return (window, sliding);
    }

    private static int? ReadWindow(ModelConfigFields fields, DecoderDefaults defaults) => defaults.Window switch
    {
        SlidingWindowKind.None => null,
        SlidingWindowKind.Gated when fields.Bool("use_sliding_window") != true => null,
        // An explicit null turns the window off.
        _ => fields.Has("sliding_window") ? fields.Int("sliding_window", 1, int.MaxValue) : DefaultWindow,
    };

    private static bool[] FromSwitches(ModelConfigFields fields, DecoderDefaults defaults, int? window, int layers)
    {
        if (window is null)
            return [];
        var first = defaults.Window == SlidingWindowKind.Gated
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
