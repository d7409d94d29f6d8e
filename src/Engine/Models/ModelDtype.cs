namespace LocalLlm.Models;

/// <summary>The element types a model's computation may be asked for in config.json.</summary>
internal enum ModelDtype
{
    /// <summary><c>float32</c>.</summary>
    Float32,

    /// <summary><c>float16</c>.</summary>
    Float16,

    /// <summary><c>bfloat16</c>.</summary>
    BFloat16,
}
