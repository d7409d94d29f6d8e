namespace LocalLlm.Tool.Arguments;

/// <summary>What a command loads.</summary>
[Flags]
internal enum ModelKinds
{
    /// <summary>Models that generate text.</summary>
    Generators = 1,

    /// <summary>Models that embed it.</summary>
    Encoders = 2,
}
