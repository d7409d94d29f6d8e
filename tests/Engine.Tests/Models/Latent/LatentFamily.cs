using LocalLlm.Models;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>A family that lives in the tests only: whatever the shared layers must leave open is different in it.</summary>
internal static class LatentFamily
{
    public static DecoderFamily Family { get; } = new DecoderFamily<LatentConfig>(
        [new("LatentForCausalLM", "latent", LatentConfig.Read)],
        (config, context, limits) => new LatentForCausalLM(config, context));
}
