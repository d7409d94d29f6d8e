namespace LocalLlm.Weights;

/// <summary>Finds the files of a model folder that hold its weights.</summary>
internal static class CheckpointFolder
{
    /// <summary>The only file of an unsharded checkpoint.</summary>
    public const string SingleFileName = "model.safetensors";

    /// <summary>The file of an unsharded checkpoint in PyTorch's own format, opened only if there are no safetensors.</summary>
    public const string PickleFileName = PickleStem + PickleSuffix;

    private const string Safetensors = ".safetensors";
    private const string HeadPickle = ".pt";
    private const string PickleStem = "pytorch_model";
    private const string PickleSuffix = ".bin";

    /// <summary>
    /// Heads of encoders with files of their own beside the model's weights: for sparse weights, and for vectors of every token.
    /// </summary>
    public static readonly IReadOnlyList<string> Heads = ["sparse_linear", "colbert_linear"];

    // Suffix → how messages name it. No such file is ever opened, except pickles with the hub's standard names.
    private static readonly (string Suffix, string Kind)[] s_others =
    [
        (".bin", "a pickle, which can run code when it is loaded"),
        (".pt", "a pickle, which can run code when it is loaded"),
        (".pth", "a pickle, which can run code when it is loaded"),
        (".ckpt", "a pickle, which can run code when it is loaded"),
        (".pkl", "a pickle, which can run code when it is loaded"),
        (".gguf", "in the GGUF format, which this build does not read"),
        (".h5", "in a TensorFlow format"),
        (".msgpack", "in a Flax format"),
    ];

    /// <summary>Whether a shard is read as PyTorch's format; its name decides, never its content.</summary>
    public static bool IsPickle(string shard) => !shard.EndsWith(Safetensors, StringComparison.Ordinal);

    /// <summary>The file of a head: safetensors if it exists, else a pickle, else null.</summary>
    public static string? HeadIn(string folder, string name) => ((string[])[name + Safetensors, name + HeadPickle]).FirstOrDefault(file => File.Exists(Path.Combine(folder, file)));

    /// <summary>Whether a safetensors file belongs to a head and not to the model itself.</summary>
    public static bool IsHead(string file) => Heads.Any(head => file == head + Safetensors);

    /// <summary>The name of the folder's index, or null; an index of pickles counts only if there is no safetensors file.</summary>
    /// <exception cref="EngineException">The folder cannot be listed.</exception>
    public static string? IndexIn(string folder)
    {
        if (Path.Exists(Path.Combine(folder, CheckpointIndex.FileName)))
            return CheckpointIndex.FileName;
        var isOfPickles = Path.Exists(Path.Combine(folder, CheckpointIndex.PickleFileName))
            && !FileNames(folder).Exists(file => file.EndsWith(Safetensors, StringComparison.Ordinal) && !IsHead(file));
        return isOfPickles ? CheckpointIndex.PickleFileName : null;
    }

    /// <summary>
    /// The names of the shards of a folder without an index, in ordinal order. <c>model.safetensors</c> alone if it exists; otherwise every
    /// other safetensors file (without <c>consolidated*</c>, a publisher's second copy, if there are others); <c>pytorch_model.bin</c> only
    /// if there are none.
    /// </summary>
    /// <exception cref="EngineException">
    /// There is no file of weights, or shards numbered <c>-00001-of-00004</c> are missing. Files of other formats are never opened.
    /// </exception>
    /// <param name="folder">The model's folder.</param>
    /// <param name="unusableIndex">The name of an existing index without usable content, or null. An index of pickles confirms that a
    /// numbered set of them belongs to the model.</param>
    public static IReadOnlyList<string> ShardsWithoutIndex(string folder, string? unusableIndex = null)
    {
        if (File.Exists(Path.Combine(folder, SingleFileName)))
            return [SingleFileName];

        var files = FileNames(folder);
        var shards = OwnSafetensors(files);
        // A dangling link does not count as a file; it is refused below like any other pickle.
        if (shards.Count == 0 && File.Exists(Path.Combine(folder, PickleFileName)))
            return [PickleFileName];
        if (shards.Count == 0 && unusableIndex == CheckpointIndex.PickleFileName)
            shards = files.FindAll(file => IsPickle(file) && Path.GetExtension(file) == PickleSuffix && SplitNumber(file) is { Prefix: PickleStem });
        if (shards.Count == 0)
            throw NoWeights(folder, files);
        RefuseMissingNumbers(shards);
        return shards;
    }

    /// <summary>
    /// Whether a path has nothing or a dangling link. A folder, a pipe or a device counts as something; opening it reports an error.
    /// </summary>
    public static bool IsAbsent(string path)
    {
        try
        {
            return !Path.Exists(path) || (new FileInfo(path) is { LinkTarget: not null } link && link.ResolveLinkTarget(returnFinalTarget: true) is not { Exists: true });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // For example a cycle of links: opening it reports the fault.
            return false;
        }
    }

    /// <summary>
    /// Files that an index omits although it names others of the same numbered set (<c>model-00001-of-00004</c>, …).
    /// </summary>
    /// <exception cref="EngineException">The folder cannot be listed.</exception>
    public static IReadOnlyList<string> FurtherShards(string folder, IReadOnlyList<string> named)
    {
        var sets = named.Select(shard => (Set: SetOf(shard), Suffix: Path.GetExtension(shard))).Where(shard => shard.Set is not null).ToHashSet();
        return sets.Count == 0 ? [] : [.. FileNames(folder).Except(named, StringComparer.Ordinal).Where(file => sets.Contains((SetOf(file), Path.GetExtension(file))))];

        static (string, int)? SetOf(string shard) => SplitNumber(shard) is { } numbered ? (numbered.Prefix, numbered.Total) : null;
    }

    /// <summary>
    /// The files of a folder with an index that may hold a tensor missing from all opened files: those that the index names, and every
    /// safetensors file that would be opened without an index. Other pickles are left alone.
    /// </summary>
    /// <exception cref="EngineException">The folder cannot be listed.</exception>
    public static IReadOnlyList<string> RestOf(string folder, CheckpointIndex index, IReadOnlyCollection<string> opened)
    {
        var further = index.Name == CheckpointIndex.FileName ? OwnSafetensors(FileNames(folder)) : [];
        return [.. index.Shards.Where(shard => !IsAbsent(Path.Combine(folder, shard))).Union(further, StringComparer.Ordinal).Except(opened, StringComparer.Ordinal)];
    }

    // Without heads, and without a publisher's second copy if there are other files.
    private static List<string> OwnSafetensors(List<string> files)
    {
        var shards = files.FindAll(file => file.EndsWith(Safetensors, StringComparison.Ordinal) && !IsHead(file));
        var own = shards.FindAll(shard => !shard.StartsWith("consolidated", StringComparison.Ordinal));
        return own.Count > 0 ? own : shards;
    }

    private static List<string> FileNames(string folder)
    {
        try
        {
            return [.. Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw EngineException.ModelFolder(Path.GetFileName(folder), "cannot be listed: " + e.Message, e);
        }
    }

    private static EngineException NoWeights(string folder, List<string> files)
    {
        foreach (var (suffix, kind) in s_others)
        {
            if (files.Find(file => file.EndsWith(suffix, StringComparison.OrdinalIgnoreCase)) is { } found)
            {
                return EngineException.ModelFolder(
                    ModelFolderProblems.Quote(found),
                    $"is {kind}; it was not opened. Convert the checkpoint to safetensors and put {SingleFileName} into the folder");
            }
        }

        return EngineException.ModelFolder(
            SingleFileName,
            $"is missing from {ModelFolderProblems.Quote(folder)}, and so are {CheckpointIndex.FileName} and any other .safetensors file");
    }

    // Without a usable index, only the file names show that a shard is missing.
    private static void RefuseMissingNumbers(List<string> shards)
    {
        var problems = new ModelFolderProblems("*" + Path.GetExtension(shards[0]));
        var numbered = shards.Select(SplitNumber).OfType<(string Prefix, int Number, int Total)>();
        foreach (var set in numbered.GroupBy(shard => (shard.Prefix, shard.Total)))
        {
            var present = set.Select(shard => shard.Number).ToHashSet();
            for (var number = 1; number <= set.Key.Total; number++)
            {
                if (!present.Contains(number))
                    problems.Add($"{set.Key.Prefix}-{number:D5}-of-{set.Key.Total:D5}{Path.GetExtension(shards[0])} is missing from the folder");
            }
        }

        problems.ThrowIfAny();
    }

    // model-00002-of-00004.safetensors → ("model", 2, 4)
    private static (string Prefix, int Number, int Total)? SplitNumber(string shard)
    {
        const int Digits = 5;
        var stem = Path.GetFileNameWithoutExtension(shard);
        var tail = "-00000-of-00000".Length;
        if (stem.Length <= tail)
            return null;
        var end = stem.AsSpan(stem.Length - tail);
        var isNumbered = end[0] == '-' && end[(1 + Digits)..].StartsWith("-of-", StringComparison.Ordinal);
        return isNumbered && IsDigits(end.Slice(1, Digits), out var number) && IsDigits(end[^Digits..], out var total)
            ? (stem[..^tail], number, total)
            : null;
    }

    private static bool IsDigits(ReadOnlySpan<char> text, out int value)
    {
        value = 0;
        foreach (var c in text)
        {
            if (!char.IsAsciiDigit(c))
                return false;
            value = (value * 10) + (c - '0');
        }

        return true;
    }
}
