using System.Diagnostics.CodeAnalysis;

namespace LocalLlm.Models.Qwen;

/// <summary>The shape of a Qwen2 or Qwen3 model.</summary>
internal sealed record QwenConfig : DecoderConfig
{
    /// <summary>Starts from the fields of all dense decoders; Qwen adds its own.</summary>
    [SetsRequiredMembers]
    public QwenConfig(DecoderConfig shared)
        : base(shared)
    {
    }

    /// <summary>RMSNorm over each query and key head before rotation (Qwen3).</summary>
    public bool QkNorm { get; init; }
}
