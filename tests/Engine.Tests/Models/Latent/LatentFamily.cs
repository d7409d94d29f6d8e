using LocalLlm.Models;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>A family that exists only in the tests. It differs in everything that the shared layers must leave open.</summary>
internal static class LatentFamily
{
    public static DecoderFamily Family { get; } = new DecoderFamily<LatentConfig>(
        [new("LatentForCausalLM", "latent", LatentConfig.Read)],
        (config, context, limits) => new LatentForCausalLM(config, context));
}
