using System.Globalization;

namespace LocalLlm.Weights;

/// <summary>
/// The differences between a checkpoint's index and its files. The files decide which tensors exist; the index only says which files to
/// open. So a difference alone is not a fault. It is one only if a tensor that the model needs is in no file, which
/// <see cref="WeightLoader"/> finds out.
/// </summary>
internal sealed class IndexDifferences
{
    private const int MaxNames = 3;

    private readonly List<string> _unnamed = [];
    private readonly List<string> _moved = [];
    private readonly Dictionary<string, string> _nowhere = new(StringComparer.Ordinal);
    private readonly HashSet<string> _absentFiles = new(StringComparer.Ordinal);
    private readonly HashSet<string> _twice = new(StringComparer.Ordinal);
    private readonly IReadOnlyList<string> _furtherFiles;
    private readonly CheckpointIndex _index;

    private IndexDifferences(CheckpointIndex index, IReadOnlyList<string> furtherFiles)
    {
        _index = index;
        _furtherFiles = furtherFiles;
    }

    /// <summary>Compares the index with the files.</summary>
    /// <param name="index">The index.</param>
    /// <param name="tensors">Every tensor in the files.</param>
    /// <param name="absentFiles">Files in the index that are not in the folder.</param>
    /// <param name="furtherFiles">Files that the model needs but the index does not name.</param>
    /// <param name="twice">Tensors in two files.</param>
    public static IndexDifferences Of(
        CheckpointIndex index, IReadOnlyDictionary<string, TensorRef> tensors, IEnumerable<string> absentFiles, IEnumerable<string> furtherFiles, IEnumerable<string> twice)
    {
        var differences = new IndexDifferences(index, [.. furtherFiles]);
        differences._absentFiles.UnionWith(absentFiles);
        differences._twice.UnionWith(twice);
        if (index.Shards.Count == 0)
            return differences;
        differences._unnamed.AddRange(tensors.Keys.Where(name => !index.WeightMap.ContainsKey(name)));
        foreach (var (name, file) in index.WeightMap)
        {
            if (!tensors.TryGetValue(name, out var found))
                differences._nowhere.Add(name, file);
            else if (Path.GetFileName(found.File.Path) != file)
                differences._moved.Add(name);
        }

        return differences;
    }

    /// <summary>What the index says about a tensor that is in no file, as the end of an error; empty if it says nothing.</summary>
    public string Explain(string name)
    {
        if (!_nowhere.TryGetValue(name, out var file))
            return "";
        return _absentFiles.Contains(file)
            ? $" (the index puts it into {file}, which is not in the folder: download it)"
            : $" (the index puts it into {file}, which does not hold it)";
    }

    /// <summary>Each kind of difference as one sentence with a count and a few names; none if the index and the files agree.</summary>
    public IEnumerable<string> Sentences()
    {
        if (_index.Faults.Count > 0)
        {
            var more = _index.Faults.Count > 1 ? string.Create(CultureInfo.InvariantCulture, $" (and {_index.Faults.Count - 1:N0} more faults)") : "";
            yield return $"{_index.Name}: {_index.Faults[0]}{more}, which was passed over";
        }

        if (_furtherFiles.Count > 0)
            yield return $"{Counted(_furtherFiles, "file", "files")} that the model needs {Were(_furtherFiles.Count)} opened although the index does not lead to {Them(_furtherFiles.Count)}";
        if (_twice.Count > 0)
            yield return $"{Counted(_twice, "tensor", "tensors")} {Are(_twice.Count)} in two files, and {Were(_twice.Count)} read where the index says";
        if (_absentFiles.Count > 0)
            yield return $"{Counted(_absentFiles, "file", "files")} named by the index {Are(_absentFiles.Count)} not in the folder, and nothing in {Them(_absentFiles.Count)} is needed";
        var held = _nowhere.Where(pair => !_absentFiles.Contains(pair.Value)).Select(pair => pair.Key).ToArray();
        if (held.Length > 0)
            yield return $"{Counted(held, "tensor", "tensors")} named by the index {Are(held.Length)} in no file, and not needed";
        if (_unnamed.Count > 0)
            yield return $"{Counted(_unnamed, "tensor", "tensors")} of the files {Are(_unnamed.Count)} not named by the index";
        if (_moved.Count > 0)
            yield return $"{Counted(_moved, "tensor", "tensors")} {Are(_moved.Count)} in another file than the index says";
    }

    /// <summary>A count with the first names in ordinal order: <c>5 tensors ('a', 'b', 'c' and 2 more)</c>.</summary>
    public static string Counted(IReadOnlyCollection<string> names, string one, string several)
    {
        var listed = string.Join(", ", names.Order(StringComparer.Ordinal).Take(MaxNames).Select(ModelFolderProblems.Quote));
        var more = names.Count > MaxNames ? string.Create(CultureInfo.InvariantCulture, $" and {names.Count - MaxNames:N0} more") : "";
        return string.Create(CultureInfo.InvariantCulture, $"{names.Count:N0} {(names.Count == 1 ? one : several)} ({listed}{more})");
    }

    private static string Are(int count) => count == 1 ? "is" : "are";

    private static string Were(int count) => count == 1 ? "was" : "were";

    private static string Them(int count) => count == 1 ? "it" : "them";
}
