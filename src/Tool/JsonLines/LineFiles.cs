namespace LocalLlm.Tool.JsonLines;

/// <summary>The input and output of a JSONL command: files, or <c>-</c> for the standard streams. Owns both streams.</summary>
internal sealed class LineFiles : IDisposable
{
    /// <summary>The name of a standard stream.</summary>
    public const string Standard = "-";

    private LineFiles(Stream input, Stream output)
    {
        Input = input;
        Output = output;
    }

    /// <summary>The input lines.</summary>
    public Stream Input { get; }

    /// <summary>The stream for results.</summary>
    public Stream Output { get; }

    /// <summary>Opens both before any work is done; an existing output keeps its content until <see cref="Truncate"/>.</summary>
    /// <exception cref="UsageException">Both are the same file.</exception>
    /// <exception cref="IOException">One of them cannot be opened; the message names it.</exception>
    public static LineFiles Open(string inputPath, string outputPath, Terminal terminal)
    {
        if (inputPath != Standard && outputPath != Standard && FinalPath(inputPath) == FinalPath(outputPath))
            throw new UsageException($"--input and --output are both '{inputPath}'; results would overwrite lines that are not read yet");
        var input = inputPath == Standard ? terminal.OpenInput() : OpenFile(inputPath, "--input", FileMode.Open, FileAccess.Read);
        try
        {
            var output = outputPath == Standard
                ? terminal.OpenOutput()
                : OpenFile(outputPath, "--output", FileMode.OpenOrCreate, FileAccess.Write);
            return new(input, new BufferedStream(output, 64 << 10));
        }
        catch
        {
            input.Dispose();
            throw;
        }
    }

    /// <summary>Empties the output, once only single lines can still fail.</summary>
    public void Truncate()
    {
        // A device such as /dev/null has no length to set.
        if (Output.CanSeek && Output.Length > 0)
            Output.SetLength(0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Input.Dispose();
        Output.Dispose();
    }

    // Follows symbolic links as far as they lead to something.
    private static string FinalPath(string path)
    {
        try
        {
            return File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);
        }
        catch (IOException)
        {
            return Path.GetFullPath(path);
        }
    }

    private static FileStream OpenFile(string path, string option, FileMode mode, FileAccess access)
    {
        try
        {
            // Opened exclusively, so that another name of the input file (a hard link) is refused as output. Devices are shared
            // by the whole machine.
            var share = access == FileAccess.Write && !path.StartsWith("/dev/", StringComparison.Ordinal) ? FileShare.None : FileShare.Read;
            return new FileStream(path, mode, access, share, bufferSize: 0, FileOptions.SequentialScan | FileOptions.Asynchronous);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            var hint = failure is IOException and not (FileNotFoundException or DirectoryNotFoundException) && access == FileAccess.Write
                ? " If it is --input under another name, name another file: results would overwrite lines that are not read yet."
                : "";
            throw new IOException($"{option} '{path}' cannot be opened: {failure.Message}{hint}", failure);
        }
    }
}
