namespace LocalLlm.Weights;

/// <summary>
/// The weights of a model folder: every tensor of its files, by name. Opening reads the files' headers and no tensor. Safe for concurrent
/// reading until <see cref="Dispose"/>.
/// <para>
/// It opens <c>model.safetensors</c> unless <c>model.safetensors.index.json</c> exists and does not name it. With an index it opens the
/// files that the index names, and the rest of a numbered set that the index names in part. Without one, or once a tensor is missing
/// (<see cref="LookFurther"/>), it opens every other <c>*.safetensors</c>. Only if there are none of these, it uses
/// <c>pytorch_model.bin.index.json</c> or <c>pytorch_model.bin</c>, which <see cref="TorchPickleFile"/> reads as data. It opens no other
/// pickle (<c>.pt</c>, <c>.ckpt</c>, …); an encoder reads the files of its heads itself. Files may be symbolic links, as in Hugging Face's
/// cache; names in the index must be plain file names.
/// </para>
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    private readonly List<IWeightFile> _files = [];
    private readonly Dictionary<string, TensorRef> _tensors = new(StringComparer.Ordinal);

    private readonly string _folder;
    private readonly CheckpointIndex? _index;
    private readonly List<string> _absent = []; // files in the index that do not exist
    private readonly List<string> _twice = []; // tensors in two files; the index decides between them
    private readonly List<string> _further = []; // files opened only because tensors were missing

    private Checkpoint(string folder, CheckpointIndex? index)
    {
        _folder = folder;
        _index = index;
    }

    /// <summary>Every tensor, by name.</summary>
    public IReadOnlyDictionary<string, TensorRef> Tensors => _tensors;

    /// <summary>The open files.</summary>
    public IReadOnlyList<IWeightFile> Files => _files;

    /// <summary>The file to name in errors if the weights as a whole do not fit.</summary>
    public string FileName => _files.Exists(file => file is TorchPickleFile) ? CheckpointFolder.PickleFileName : CheckpointFolder.SingleFileName;

    /// <summary>Total bytes of all tensors.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>The differences between the index and the files; null: there is no index.</summary>
    public IndexDifferences? Differences { get; private set; }

    /// <summary>Opens the weights of a folder.</summary>
    /// <exception cref="EngineException">
    /// A file is malformed, a tensor is in two files and no index says in which, or there are no weights at all
    /// (<see cref="EngineErrorKind.ModelFolder"/>); one error lists every problem. An index that is malformed or disagrees with the files
    /// is not an error here: see <see cref="Differences"/>.
    /// </exception>
    public static Checkpoint Open(string folder)
    {
        if (!Directory.Exists(folder))
            throw EngineException.ModelFolder(ModelFolderProblems.Quote(folder), "is not a folder; the path of a model folder was wanted");

        var index = CheckpointFolder.IndexIn(folder) is { } indexName ? CheckpointIndex.Read(folder, indexName) : null;
        var shards = ShardsOf(folder, index);
        var checkpoint = new Checkpoint(folder, index);
        try
        {
            checkpoint.OpenShards(shards);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Finds a tensor.</summary>
    public bool TryGet(string name, out TensorRef tensor) => _tensors.TryGetValue(name, out tensor);

    /// <summary>Closes every file.</summary>
    public void Dispose()
    {
        foreach (var file in _files)
            file.Dispose();
    }

    /// <summary>
    /// Looks in the rest of a folder with an index for tensors that the model needs and no open file holds, because an index may omit
    /// files. A file that holds one stays open, and all its tensors are added to the checkpoint. Tensors found earlier are not replaced.
    /// </summary>
    /// <param name="missing">The tensors' names.</param>
    /// <returns>Why files could not be read, one text for each.</returns>
    /// <exception cref="EngineException">A tensor is in two of those files, and the index does not say in which.</exception>
    public IReadOnlyList<string> LookFurther(IReadOnlyCollection<string> missing)
    {
        if (_index is null)
            return [];
        var unreadable = new List<string>();
        var problems = new ModelFolderProblems(_index.Name);
        var before = _tensors.Keys.ToHashSet(StringComparer.Ordinal);
        foreach (var shard in CheckpointFolder.RestOf(_folder, _index, [.. _files.Select(file => Path.GetFileName(file.Path))]))
        {
            IWeightFile file;
            try
            {
                file = OpenFile(Path.Combine(_folder, shard));
            }
            catch (EngineException e)
            {
                unreadable.Add(e.Message);
                continue;
            }

            if (!missing.Any(file.Tensors.ContainsKey))
            {
                file.Dispose();
                continue;
            }

            _files.Add(file);
            _further.Add(shard);
            AddTensors(shard, file, problems, before);
        }

        problems.ThrowIfAny();
        Differences = IndexDifferences.Of(_index, _tensors, _absent, _further, _twice);
        return unreadable;
    }

    private static IReadOnlyList<string> ShardsOf(string folder, CheckpointIndex? index)
    {
        if (index is null)
            return CheckpointFolder.ShardsWithoutIndex(folder);
        // As in transformers: an index of other files is left over from before they were merged.
        var whole = index.Name == CheckpointIndex.FileName ? CheckpointFolder.SingleFileName : CheckpointFolder.PickleFileName;
        if (!index.Shards.Contains(whole) && File.Exists(Path.Combine(folder, whole)))
            return [whole];
        if (index.Shards.Count > 0)
            return [.. index.Shards, .. CheckpointFolder.FurtherShards(folder, index.Shards)];
        try
        {
            return CheckpointFolder.ShardsWithoutIndex(folder, index.Name);
        }
        catch (EngineException e)
        {
            throw EngineException.ModelFolder(index.Name, $"{string.Join("; ", index.Faults.Take(ModelFolderProblems.MaxListed))}. Without it: {e.Message}", e);
        }
    }

    private static IWeightFile OpenFile(string path) => CheckpointFolder.IsPickle(Path.GetFileName(path)) ? TorchPickleFile.Open(path) : SafetensorsFile.Open(path);

    private void OpenShards(IReadOnlyList<string> shards)
    {
        var blamed = _index is not null ? _index.Name : shards.Count == 1 ? shards[0] : "*.safetensors";
        var problems = new ModelFolderProblems(blamed);
        if (_index is not null)
            _absent.AddRange(_index.Shards.Where(shard => CheckpointFolder.IsAbsent(Path.Combine(_folder, shard))));
        var unreadable = 0;
        // Only the model's needs decide later whether an absent file is a problem.
        foreach (var shard in shards.Except(_absent, StringComparer.Ordinal))
        {
            try
            {
                var file = OpenFile(Path.Combine(_folder, shard));
                _files.Add(file);
                AddTensors(shard, file, problems, before: null);
            }
            catch (EngineException e) when (shards.Count > 1 || _index is not null)
            {
                unreadable++;
                problems.Add(e.Message);
            }
        }

        if (_tensors.Count == 0 && unreadable == 0 && _absent.Count == 0)
            problems.Add("holds no tensor; the weights of a model were wanted");
        if (problems.Count > 0 || _tensors.Count == 0)
            _absent.ForEach(shard => problems.Add($"{shard}: is missing from the folder"));
        if (problems.Count > 0 && _index is not null)
            _index.Faults.ToList().ForEach(problems.Add);
        problems.ThrowIfAny();
        if (_index is not null)
            Differences = IndexDifferences.Of(_index, _tensors, _absent, _further, _twice);
    }

    // before: tensors that keep their file; null: none.
    private void AddTensors(string shard, IWeightFile file, ModelFolderProblems problems, HashSet<string>? before)
    {
        foreach (var info in file.Tensors.Values)
        {
            var tensor = new TensorRef(file, info);
            if (_tensors.TryAdd(info.Name, tensor))
            {
                TotalBytes += info.ByteLength;
                continue;
            }

            var present = _tensors[info.Name];
            var other = Path.GetFileName(present.File.Path);
            var said = _index?.WeightMap.GetValueOrDefault(info.Name);
            if (before?.Contains(info.Name) == true || said == other)
            {
                _twice.Add(info.Name);
            }
            else if (said == shard)
            {
                _twice.Add(info.Name);
                _tensors[info.Name] = tensor;
                TotalBytes += info.ByteLength - present.Info.ByteLength;
            }
            else
            {
                problems.Add($"{shard}: tensor {ModelFolderProblems.Quote(info.Name)} is in {other} too, wanted in one file");
            }
        }
    }
}
