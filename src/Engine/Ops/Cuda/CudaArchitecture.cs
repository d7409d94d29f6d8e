using System.Globalization;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// The architecture that kernels are compiled for, as a compute capability times ten: the card's own, or an older one that the card also
/// runs. With an older one, the engine uses nothing that the older cards lack: instructions, types, libtorch's kernels for newer cards,
/// shared memory.
/// </summary>
internal static class CudaArchitecture
{
    /// <summary>The option's name in messages.</summary>
    public const string Option = "cuda_arch";

    /// <summary>The environment variable that is read if the option is not given.</summary>
    public const string EnvironmentVariable = "LOCALLLM_CUDA_ARCH";

    /// <summary>The architectures that the option allows, for messages.</summary>
    public const string Allowed = "75 (Turing), 80 or 86 (Ampere), 89 (Ada), 90 (Hopper)";

    /// <summary>What is wrong with an architecture, as far as it shows without a card; null: nothing.</summary>
    public static string? FaultOf(int? architecture) =>
        architecture is null or CudaDevice.Turing or CudaDevice.Ampere or 86 or 89 or CudaDevice.Hopper ? null : $"is {architecture}; allowed: {Allowed}";

    /// <summary>The architecture that the option or else the environment asks for; null: the card's own.</summary>
    /// <param name="option">The option's value.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: the environment's value is no architecture.</exception>
    public static int? Asked(int? option)
    {
        if (option is not null || Environment.GetEnvironmentVariable(EnvironmentVariable) is not { Length: > 0 } text)
            return option;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var asked) && FaultOf(asked) is null
            ? asked
            : throw new EngineException(EngineErrorKind.InvalidOptions, $"{EnvironmentVariable} is '{text}'; allowed: {Allowed}.", Option);
    }

    /// <summary>The architecture that kernels are compiled for.</summary>
    /// <param name="asked">The requested architecture; null: the card's own.</param>
    /// <param name="own">The card's own architecture.</param>
    /// <param name="card">The card's name, for messages.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: the card does not run it.</exception>
    public static int Of(int? asked, int own, string card)
    {
        if (asked is not { } architecture || architecture == own)
            return own;
        if (architecture > own)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions, $"{Option} is {architecture}, but {card} has compute capability {Text(own)} and runs nothing newer; leave it out, or name an older one.", Option);
        }

        // Kernels for Hopper use instructions that only Hopper has.
        if (architecture == CudaDevice.Hopper)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{Option} is {architecture}, whose kernels run on that card alone, and {card} has compute capability {Text(own)}; leave it out, or name an older one.", Option);
        return architecture;
    }

    /// <summary>A compute capability in the usual notation, such as 7.5.</summary>
    public static string Text(int capability) => string.Create(CultureInfo.InvariantCulture, $"{capability / 10}.{capability % 10}");
}
