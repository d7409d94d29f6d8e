namespace LocalLlm.Tool.Arguments;

/// <summary>The kinds of models that a command can load.</summary>
[Flags]
internal enum ModelKinds
{
    /// <summary>Models that generate text.</summary>
    Generators = 1,

    /// <summary>Models that embed text.</summary>
    Encoders = 2,
}
