namespace LocalLlm.Models;

/// <summary>How an architecture reads <c>sliding_window</c>.</summary>
internal enum SlidingWindowKind
{
    /// <summary>The architecture has no window.</summary>
    None,

    /// <summary>Mistral: on every layer unless the field is null; 4,096 where it is absent.</summary>
    Every,

    /// <summary>Qwen: on the layers from <c>max_window_layers</c> on, if <c>use_sliding_window</c> is true.</summary>
    Gated,
}
