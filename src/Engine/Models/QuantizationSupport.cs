namespace LocalLlm.Models;

/// <summary>The values of <see cref="EngineOptions.Quantization"/> that a model supports.</summary>
internal static class QuantizationSupport
{
    /// <summary>The option's name.</summary>
    public const string Option = "quantization";

    /// <summary>The allowed values, for messages.</summary>
    public const string Allowed = "none, fp8 (only for a checkpoint in 8-bit floats, which is loaded as stored in any case)";

    private const string Float8 = "fp8";

    /// <summary>Whether a method is known.</summary>
    public static bool IsName(string? method) => method is null or Float8;

    /// <summary>The problem with the option, to follow its name in a message; null: none.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="isQuantised">Whether the checkpoint has 8-bit floats.</param>
    public static string? FaultOf(EngineOptions options, bool isQuantised) => options.Quantization is null || isQuantised
        ? null
        : $"is {options.Quantization}, but config.json has no quantization_config: weights are used as the checkpoint stores them; leave it out, or name a checkpoint in 8-bit floats";

    /// <summary>Refuses a method that differs from how the checkpoint is stored.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(EngineOptions options, ModelConfig config)
    {
        if (FaultOf(options, config.Quantization is not null) is { } fault)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{Option} {fault}.", Option);
    }
}
