namespace LocalLlm.Parallel;

/// <summary>The layers of a model that one rank holds. The first stage embeds the tokens; the last one computes the logits.</summary>
/// <param name="Index">Index of the stage, from 0.</param>
/// <param name="Count">Number of stages.</param>
/// <param name="FirstLayer">The stage's first layer.</param>
/// <param name="NumLayers">Number of the stage's layers; <see cref="AllLayers"/> for a model that is not split.</param>
internal readonly record struct PipelineStage(int Index, int Count, int FirstLayer, int NumLayers)
{
    /// <summary>Stands for all layers, whatever their number.</summary>
    public const int AllLayers = int.MaxValue;

    /// <summary>A model that is not split.</summary>
    public static PipelineStage Whole { get; } = new(0, 1, 0, AllLayers);

    /// <summary>Whether this stage takes the tokens.</summary>
    public bool IsFirst => Index == 0;

    /// <summary>Whether this stage computes the logits.</summary>
    public bool IsLast => Index == Count - 1;

    /// <summary>Whether a layer belongs to this stage.</summary>
    public bool Holds(int layer) => layer >= FirstLayer && layer - FirstLayer < NumLayers;
}
