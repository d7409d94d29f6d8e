namespace LocalLlm.Weights;

/// <summary>
/// The weights of a model folder: every tensor of its safetensors files, by name. Opening maps the files and reads their headers;
/// no tensor's page is touched. Safe for concurrent reading; every pointer lives until <see cref="Dispose"/>.
/// <para>
/// Which files: those named by <c>model.safetensors.index.json</c>, else <c>model.safetensors</c>, else every other
/// <c>*.safetensors</c>. Pickles (<c>.bin</c>, <c>.pt</c>, …) are never opened. Files may be symbolic links, as in Hugging Face's
/// cache; names inside the index must be plain file names.
/// </para>
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    private readonly List<SafetensorsFile> _files = [];
    private readonly Dictionary<string, TensorRef> _tensors = new(StringComparer.Ordinal);

    private Checkpoint()
    {
    }

    /// <summary>Every tensor, by name.</summary>
    public IReadOnlyDictionary<string, TensorRef> Tensors => _tensors;

    /// <summary>The open files.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _files;

    /// <summary>Bytes of all tensors together.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Opens the weights of a folder.</summary>
    /// <exception cref="EngineException">
    /// Weights are missing, malformed, or contradict the index (<see cref="EngineErrorKind.ModelFolder"/>); one error lists every problem.
    /// </exception>
    public static Checkpoint Open(string folder)
    {
        if (!Directory.Exists(folder))
            throw EngineException.ModelFolder(ModelFolderProblems.Quote(folder), "is not a folder; the path of a model folder was wanted");

        var index = Path.Exists(Path.Combine(folder, CheckpointIndex.FileName)) ? CheckpointIndex.Read(folder) : null;
        var shards = index?.Shards ?? CheckpointFolder.ShardsWithoutIndex(folder);
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

    /// <summary>Unmaps every file. Pointers handed out are invalid from here on.</summary>
    public void Dispose()
    {
        foreach (var file in _files)
            file.Dispose();
    }

    private void OpenShards(string folder, IReadOnlyList<string> shards, CheckpointIndex? index)
    {
        var blamed = index is not null ? CheckpointIndex.FileName : shards.Count == 1 ? shards[0] : "*.safetensors";
        var problems = new ModelFolderProblems(blamed);
        var unreadable = new HashSet<string>(StringComparer.Ordinal);
        foreach (var shard in shards)
        {
            try
            {
                var file = SafetensorsFile.Open(Path.Combine(folder, shard));
                _files.Add(file);
                AddTensors(shard, file, index, problems);
            }
            catch (EngineException e) when (shards.Count > 1 || index is not null)
            {
                unreadable.Add(shard);
                problems.Add(e.Message);
            }
        }

        if (index is not null)
            CheckIndex(index, unreadable, problems);
        if (_tensors.Count == 0 && unreadable.Count == 0)
            problems.Add("holds no tensor; the weights of a model were wanted");
        problems.ThrowIfAny();
    }

    private void AddTensors(string shard, SafetensorsFile file, CheckpointIndex? index, ModelFolderProblems problems)
    {
        foreach (var info in file.Tensors.Values)
        {
            if (!_tensors.TryAdd(info.Name, new TensorRef(file, info)))
            {
                var other = Path.GetFileName(_tensors[info.Name].File.Path);
                problems.Add($"{shard}: tensor {ModelFolderProblems.Quote(info.Name)} is in {other} too, wanted in one file");
                continue;
            }

            TotalBytes += info.ByteLength;
            if (index is not null && !index.WeightMap.ContainsKey(info.Name))
                problems.Add($"{shard}: tensor {ModelFolderProblems.Quote(info.Name)} is not named by the index");
        }
    }

    private void CheckIndex(CheckpointIndex index, HashSet<string> unreadable, ModelFolderProblems problems)
    {
        foreach (var (tensor, shard) in index.WeightMap)
        {
            if (unreadable.Contains(shard))
                continue;
            if (!_tensors.TryGetValue(tensor, out var found))
            {
                problems.Add($"weight_map: {ModelFolderProblems.Quote(tensor)}: is not in {shard}");
                continue;
            }

            var holder = Path.GetFileName(found.File.Path);
            if (!string.Equals(holder, shard, StringComparison.Ordinal))
                problems.Add($"weight_map: {ModelFolderProblems.Quote(tensor)}: is not in {shard} but in {holder}");
        }
    }
}
