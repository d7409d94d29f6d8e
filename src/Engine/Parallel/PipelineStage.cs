namespace LocalLlm.Parallel;

/// <summary>The part of a model's layers that one rank holds. The first stage embeds the tokens; the last one gives the logits.</summary>
/// <param name="Index">Which stage, from 0.</param>
/// <param name="Count">Number of stages.</param>
/// <param name="FirstLayer">Its first layer.</param>
/// <param name="NumLayers">Number of its layers; <see cref="AllLayers"/> for a model that is not split.</param>
internal readonly record struct PipelineStage(int Index, int Count, int FirstLayer, int NumLayers)
{
    /// <summary>Stands for the number of layers, whatever it is.</summary>
    public const int AllLayers = int.MaxValue;

    /// <summary>A model that is not split.</summary>
    public static PipelineStage Whole { get; } = new(0, 1, 0, AllLayers);

    /// <summary>Whether tokens enter here.</summary>
    public bool IsFirst => Index == 0;

    /// <summary>Whether logits leave here.</summary>
    public bool IsLast => Index == Count - 1;

    /// <summary>Whether a layer belongs to it.</summary>
    public bool Holds(int layer) => layer >= FirstLayer && layer - FirstLayer < NumLayers;
}
