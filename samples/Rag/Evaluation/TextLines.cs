using System.Runtime.CompilerServices;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Reads the lines of a file that are not blank, each with its number from 1.</summary>
internal static class TextLines
{
    public static async IAsyncEnumerable<(string Line, int Number)> ReadAsync(string path, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (Directory.Exists(path))
            throw new RagException($"'{path}' is a folder; give a file");
        if (!File.Exists(path))
            throw new RagException($"the file '{path}' does not exist");
        var number = 0;
        await foreach (var line in File.ReadLinesAsync(path, cancellationToken))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
                yield return (line, number);
        }
    }

    /// <summary>A line as an error quotes it.</summary>
    public static string Shortened(string line) => line.Length > 80 ? $"'{line[..80]}…'" : $"'{line}'";
}
