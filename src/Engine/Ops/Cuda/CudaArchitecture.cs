using System.Globalization;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// The architecture that kernels are compiled for, as a compute capability times ten: the card's own, or an older one that it also runs.
/// Then what the older card lacks is not used either: instructions, types, libtorch's kernels for newer cards, shared memory.
/// </summary>
internal static class CudaArchitecture
{
    /// <summary>The option's name in messages.</summary>
    public const string Option = "cuda_arch";

    /// <summary>The environment variable that stands for the option where that is not given.</summary>
    public const string EnvironmentVariable = "LOCALLLM_CUDA_ARCH";

    /// <summary>The architectures that can be asked for, for messages.</summary>
    public const string Allowed = "75 (Turing), 80 or 86 (Ampere), 89 (Ada), 90 (Hopper)";

    /// <summary>What can be said against an architecture without a card; null: nothing.</summary>
    public static string? FaultOf(int? architecture) =>
        architecture is null or CudaDevice.Turing or CudaDevice.Ampere or 86 or 89 or CudaDevice.Hopper ? null : $"is {architecture}; allowed: {Allowed}";

    /// <summary>What was asked for by the option or else by the environment; null: the card's own.</summary>
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

    /// <summary>What kernels are compiled for.</summary>
    /// <param name="asked">What was asked for; null: the card's own.</param>
    /// <param name="own">Of the card.</param>
    /// <param name="card">Its name, for messages.</param>
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

        // Its kernels take instructions of one architecture alone.
        if (architecture == CudaDevice.Hopper)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{Option} is {architecture}, whose kernels run on that card alone, and {card} has compute capability {Text(own)}; leave it out, or name an older one.", Option);
        return architecture;
    }

    /// <summary>A compute capability as people write it, such as 7.5.</summary>
    public static string Text(int capability) => string.Create(CultureInfo.InvariantCulture, $"{capability / 10}.{capability % 10}");
}
