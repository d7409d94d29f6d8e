namespace LocalLlm.Models.Rotary;

/// <summary>How the rotary frequencies are stretched beyond the trained context; the names are transformers'.</summary>
internal enum RopeType
{
    /// <summary>Not at all.</summary>
    Default,

    /// <summary>Every frequency divided by a factor (position interpolation).</summary>
    Linear,

    /// <summary>A base that grows with the sequence length (dynamic NTK).</summary>
    Dynamic,

    /// <summary>Llama 3.1: low frequencies are divided, high ones are kept, with a ramp between.</summary>
    Llama3,

    /// <summary>YaRN (arXiv 2309.00071): a ramp over dimensions, and a scale on cos and sin.</summary>
    Yarn,
}
