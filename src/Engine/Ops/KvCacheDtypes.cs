using TorchSharp;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>The names of the types that a KV cache can have.</summary>
internal static class KvCacheDtypes
{
    /// <summary>As an error lists them.</summary>
    public const string Allowed = "auto (the type of the computation), fp8, fp8_e4m3";

    /// <summary>Whether there is such a type.</summary>
    public static bool IsName(string? name) => name == "auto" || IsFloat8(name);

    /// <summary>Whether it is the 8-bit float of <see cref="Float8Row"/>.</summary>
    public static bool IsFloat8(string? name) => name is "fp8" or "fp8_e4m3";

    /// <summary>Refuses a type that a device has no kernels for: attention of GPUs over the model's own rows reads 16-bit ones.</summary>
    /// <param name="name">What was asked for.</param>
    /// <param name="device">Where the cache is.</param>
    /// <param name="spec">What the model keeps of a token.</param>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Require(string name, Device device, KvCacheSpec spec)
    {
        if (IsFloat8(name) && device.type != DeviceType.CPU && spec.Layers.Any(layer => layer.Layout == KvLayout.Rows))
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"kv_cache_dtype is {name}, but this build keeps latent vectors as 8-bit floats in the KV cache of CPUs only, and device is {device}; set it to auto.", "kv_cache_dtype");
        }
    }
}
