namespace LocalLlm.Models;

/// <summary>How an architecture reads <c>sliding_window</c>.</summary>
internal enum SlidingWindowKind
{
    /// <summary>It has none.</summary>
    None,

    /// <summary>Mistral: on every layer where it is not null; 4,096 where the field is absent.</summary>
    Every,

    /// <summary>Qwen: only where <c>use_sliding_window</c> is true, on the layers from <c>max_window_layers</c> on.</summary>
    Gated,
}
