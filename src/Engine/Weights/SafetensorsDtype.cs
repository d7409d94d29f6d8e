namespace LocalLlm.Weights;

/// <summary>The element types of a safetensors file whose elements are whole bytes; the names are the format's.</summary>
internal enum SafetensorsDtype
{
    /// <summary><c>BOOL</c>, one byte.</summary>
    Bool,

    /// <summary><c>U8</c>.</summary>
    U8,

    /// <summary><c>I8</c>.</summary>
    I8,

    /// <summary><c>F8_E5M2</c>.</summary>
    F8E5M2,

    /// <summary><c>F8_E4M3</c>, torch's <c>float8_e4m3fn</c>.</summary>
    F8E4M3,

    /// <summary><c>F8_E8M0</c>: exponents only, used as scales.</summary>
    F8E8M0,

    /// <summary><c>I16</c>.</summary>
    I16,

    /// <summary><c>U16</c>.</summary>
    U16,

    /// <summary><c>F16</c>.</summary>
    F16,

    /// <summary><c>BF16</c>.</summary>
    BF16,

    /// <summary><c>I32</c>.</summary>
    I32,

    /// <summary><c>U32</c>.</summary>
    U32,

    /// <summary><c>F32</c>.</summary>
    F32,

    /// <summary><c>F64</c>.</summary>
    F64,

    /// <summary><c>I64</c>.</summary>
    I64,

    /// <summary><c>U64</c>.</summary>
    U64,

    /// <summary>Any other type: its tensor is listed under its type's name, but cannot be used.</summary>
    Other,
}
