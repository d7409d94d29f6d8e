using System.Diagnostics.CodeAnalysis;

namespace LocalLlm.Models.Llama;

/// <summary>The shape of a Llama or Mistral model.</summary>
internal sealed record LlamaConfig : DecoderConfig
{
    /// <summary>Starts from the fields of all dense decoders; Llama adds its own.</summary>
    [SetsRequiredMembers]
    public LlamaConfig(DecoderConfig shared)
        : base(shared)
    {
    }

    /// <summary>Bias on the MLP's projections.</summary>
    public bool MlpBias { get; init; }
}
