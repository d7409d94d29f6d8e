using System.Text.Json;
using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// <c>model.safetensors.index.json</c> or <c>pytorch_model.bin.index.json</c>: which shard holds which tensor. Shard names must be
/// plain names of files in the same folder, of the index's own kind; everything except <c>weight_map</c> is ignored. An index is a hint. A
/// malformed one is not an error: the whole index or single entries are skipped, and <see cref="Faults"/> says so.
/// </summary>
internal sealed class CheckpointIndex
{
    /// <summary>The index of safetensors.</summary>
    public const string FileName = "model.safetensors.index.json";

    /// <summary>The index of pickles, used only if there are no safetensors.</summary>
    public const string PickleFileName = CheckpointFolder.PickleFileName + ".index.json";

    // The largest known has 92,000 tensors in 9 MB.
    private const int MaxBytes = 64 << 20;
    private const int MaxNameLength = 255;
    private const int MaxShards = 10_000;

    private readonly Dictionary<string, string> _weightMap = new(StringComparer.Ordinal);
    private readonly List<string> _shards = [];
    private readonly List<string> _faults = [];

    private CheckpointIndex(string name) => Name = name;

    /// <summary>The file's name.</summary>
    public string Name { get; }

    /// <summary>Tensor name → shard name; empty if the index is unusable.</summary>
    public IReadOnlyDictionary<string, string> WeightMap => _weightMap;

    /// <summary>The shard names, each once, in order of appearance; empty if the index is unusable.</summary>
    public IReadOnlyList<string> Shards => _shards;

    /// <summary>What is wrong with the index: the field, the value found, the value wanted.</summary>
    public IReadOnlyList<string> Faults => _faults;

    /// <summary>Reads the index of a folder.</summary>
    /// <exception cref="EngineException">It names a shard that is not a plain file name; every such name is listed.</exception>
    public static CheckpointIndex Read(string folder, string name = FileName)
    {
        byte[] utf8;
        try
        {
            utf8 = ModelFolderFile.ReadJson(folder, name, MaxBytes);
        }
        catch (EngineException e)
        {
            var unreadable = new CheckpointIndex(name);
            unreadable._faults.Add(e.Message[(name.Length + 2)..]);
            return unreadable;
        }

        return Parse(utf8, name);
    }

    /// <summary>Parses an index.</summary>
    /// <exception cref="EngineException">As <see cref="Read"/>.</exception>
    public static CheckpointIndex Parse(ReadOnlySpan<byte> utf8, string name = FileName)
    {
        var index = new CheckpointIndex(name);
        var badNames = new ModelFolderProblems(name);
        try
        {
            index.ReadRoot(utf8, badNames);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escaped lone surrogate cannot become text.
            index.PassOver("is not valid JSON: " + e.Message);
            return index;
        }

        badNames.ThrowIfAny();
        if (index._shards.Count > MaxShards)
            index.PassOver($"weight_map: found {index._shards.Count} different shards, wanted at most {MaxShards}");
        return index;
    }

    private void PassOver(string fault)
    {
        _weightMap.Clear();
        _shards.Clear();
        _faults.Clear();
        _faults.Add(fault);
    }

    private void ReadRoot(ReadOnlySpan<byte> utf8, ModelFolderProblems badNames)
    {
        var json = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = 64 });
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            _faults.Add($"found JSON {json.TokenType} at the top; an object with weight_map was wanted");
            return;
        }

        var maps = 0;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isWeightMap = json.ValueTextEquals("weight_map"u8);
            json.Read();
            if (!isWeightMap)
            {
                json.Skip();
                continue;
            }

            if (++maps == 2)
                _faults.Add("weight_map: occurs twice, wanted once");
            ReadWeightMap(ref json, badNames);
        }

        json.Read();
        if (maps == 0)
            _faults.Add("weight_map: is missing; an object of tensor names to shard names was wanted");
    }

    private void ReadWeightMap(ref Utf8JsonReader json, ModelFolderProblems badNames)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            _faults.Add($"weight_map: found JSON {json.TokenType}, wanted an object of tensor names to shard names");
            json.Skip();
            return;
        }

        var known = _shards.ToDictionary(shard => shard, StringComparer.Ordinal);
        var entries = 0;
        for (; json.Read() && json.TokenType == JsonTokenType.PropertyName; entries++)
        {
            var tensor = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                _faults.Add($"weight_map: {Quote(tensor)}: found JSON {json.TokenType}, wanted the name of a shard");
                json.Skip();
                continue;
            }

            var shard = json.GetString()!;
            // One string object per shard, not per tensor.
            if (known.TryGetValue(shard, out var first))
            {
                shard = first;
            }
            else
            {
                known.Add(shard, shard);
                if (FaultOf(Name, shard) is { } fault)
                    badNames.Add($"weight_map: {Quote(tensor)}: found shard {Quote(shard)}, {fault}");
                else
                    _shards.Add(shard);
            }

            // As in Python, the last duplicate counts.
            if (!_weightMap.TryAdd(tensor, shard))
            {
                _faults.Add($"weight_map: {Quote(tensor)}: the tensor occurs twice, wanted once");
                _weightMap[tensor] = shard;
            }
        }

        if (entries == 0)
            _faults.Add("weight_map: is empty; a shard for every tensor was wanted");
    }

    private static string? FaultOf(string name, string shard)
    {
        if (shard.Length is 0 or > MaxNameLength)
            return $"wanted a file name of 1 to {MaxNameLength} characters";
        // On Windows a colon marks a drive or a stream.
        if (shard.AsSpan().IndexOfAny('/', '\\', ':') >= 0 || shard.Any(char.IsControl) || shard[0] == '.')
            return "wanted a plain file name inside the model folder";
        // An index of safetensors must not lead to a pickle.
        var suffix = name == FileName ? ".safetensors" : ".bin";
        return shard.EndsWith(suffix, StringComparison.Ordinal) ? null : $"wanted a {suffix} file; convert other formats";
    }
}
