namespace LocalLlm.Ops;

/// <summary>The names of the types that a KV cache can have.</summary>
internal static class KvCacheDtypes
{
    /// <summary>The names, for error messages.</summary>
    public const string Allowed = "auto (the type of the computation), fp8, fp8_e4m3";

    /// <summary>Whether a type has this name.</summary>
    public static bool IsName(string? name) => name == "auto" || IsFloat8(name);

    /// <summary>Whether this names the 8-bit float of <see cref="Float8Row"/>.</summary>
    public static bool IsFloat8(string? name) => name is "fp8" or "fp8_e4m3";
}
