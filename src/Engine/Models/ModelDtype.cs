namespace LocalLlm.Models;

/// <summary>The element types for computation that config.json may name.</summary>
internal enum ModelDtype
{
    /// <summary><c>float32</c>.</summary>
    Float32,

    /// <summary><c>float16</c>.</summary>
    Float16,

    /// <summary><c>bfloat16</c>.</summary>
    BFloat16,
}
