namespace LocalLlm.Primitives;

/// <summary>A file cannot be read, or does not hold what it should.</summary>
/// <param name="file">The file's name, without the folder's path.</param>
/// <param name="problem">What was found and what was expected.</param>
/// <param name="innerException">The underlying failure, or null.</param>
public sealed class UntrustedFileException(string file, string problem, Exception? innerException = null)
    : Exception($"{file}: {problem}", innerException)
{
    /// <summary>The file's name, without the folder's path.</summary>
    public string File => file;

    /// <summary>What was found and what was expected.</summary>
    public string Problem => problem;
}
