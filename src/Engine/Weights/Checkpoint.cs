namespace LocalLlm.Weights;

/// <summary>
/// The weights of a model folder: every tensor of its files, by name. Opening reads the files' headers and no tensor. Safe for concurrent reading
/// until <see cref="Dispose"/>.
/// <para>
/// Which files: those named by <c>model.safetensors.index.json</c> and the rest of a numbered set that it names in part, else
/// <c>model.safetensors</c>, else every other
/// <c>*.safetensors</c>. Only where there is none of these, <c>pytorch_model.bin.index.json</c> or <c>pytorch_model.bin</c>, read as data by
/// <see cref="TorchPickleFile"/>; no other pickle (<c>.pt</c>, <c>.ckpt</c>, …) is opened here: bge-m3's heads have files of their own, which an encoder reads. Files may be symbolic links, as in Hugging
/// Face's cache; names inside the index must be plain file names.
/// </para>
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    private readonly List<IWeightFile> _files = [];
    private readonly Dictionary<string, TensorRef> _tensors = new(StringComparer.Ordinal);

    private Checkpoint()
    {
    }

    /// <summary>Every tensor, by name.</summary>
    public IReadOnlyDictionary<string, TensorRef> Tensors => _tensors;

    /// <summary>The open files.</summary>
    public IReadOnlyList<IWeightFile> Files => _files;

    /// <summary>The file to blame where the weights as a whole do not fit.</summary>
    public string FileName => _files.Exists(file => file is TorchPickleFile) ? CheckpointFolder.PickleFileName : CheckpointFolder.SingleFileName;

    /// <summary>Bytes of all tensors together.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Where the index and the files disagree; null: there is no index.</summary>
    public IndexDifferences? Differences { get; private set; }

    /// <summary>Opens the weights of a folder.</summary>
    /// <exception cref="EngineException">
    /// Files are malformed, a tensor is in two of them, or there are no weights at all (<see cref="EngineErrorKind.ModelFolder"/>); one
    /// error lists every problem. An index that disagrees with the files is no
    /// error here: see <see cref="Differences"/>.
    /// </exception>
    public static Checkpoint Open(string folder)
    {
        if (!Directory.Exists(folder))
            throw EngineException.ModelFolder(ModelFolderProblems.Quote(folder), "is not a folder; the path of a model folder was wanted");

        var index = CheckpointFolder.IndexIn(folder) is { } indexName ? CheckpointIndex.Read(folder, indexName) : null;
        IReadOnlyList<string> shards = index is null
            ? CheckpointFolder.ShardsWithoutIndex(folder)
            : [.. index.Shards, .. CheckpointFolder.FurtherShards(folder, index.Shards)];
        var checkpoint = new Checkpoint();
        try
        {
            checkpoint.OpenShards(folder, shards, index);
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

    private void OpenShards(string folder, IReadOnlyList<string> shards, CheckpointIndex? index)
    {
        var blamed = index is not null ? index.Name : shards.Count == 1 ? shards[0] : "*.safetensors";
        var problems = new ModelFolderProblems(blamed);
        var (absent, unreadable) = (new List<string>(), 0);
        foreach (var shard in shards)
        {
            var path = Path.Combine(folder, shard);
            // Whether a file that did not arrive is missed is known once the model has said what it needs.
            if (index is not null && CheckpointFolder.IsAbsent(path))
            {
                absent.Add(shard);
                continue;
            }

            try
            {
                IWeightFile file = CheckpointFolder.IsPickle(shard) ? TorchPickleFile.Open(path) : SafetensorsFile.Open(path);
                _files.Add(file);
                AddTensors(shard, file, problems);
            }
            catch (EngineException e) when (shards.Count > 1 || index is not null)
            {
                unreadable++;
                problems.Add(e.Message);
            }
        }

        if (_tensors.Count == 0 && unreadable == 0 && absent.Count == 0)
            problems.Add("holds no tensor; the weights of a model were wanted");
        if (problems.Count > 0 || _tensors.Count == 0)
            absent.ForEach(shard => problems.Add($"{shard}: is missing from the folder"));
        problems.ThrowIfAny();
        if (index is not null)
            Differences = IndexDifferences.Of(index, _tensors, absent);
    }

    private void AddTensors(string shard, IWeightFile file, ModelFolderProblems problems)
    {
        foreach (var info in file.Tensors.Values)
        {
            if (_tensors.TryAdd(info.Name, new TensorRef(file, info)))
            {
                TotalBytes += info.ByteLength;
                continue;
            }

            var other = Path.GetFileName(_tensors[info.Name].File.Path);
            problems.Add($"{shard}: tensor {ModelFolderProblems.Quote(info.Name)} is in {other} too, wanted in one file");
        }
    }
}
