using System.Text.Json;
using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// <c>model.safetensors.index.json</c> or <c>pytorch_model.bin.index.json</c>: which shard holds which tensor. Shard names must be plain names of
/// files in the same folder, of the index's own kind; everything but <c>weight_map</c> is ignored.
/// </summary>
internal sealed class CheckpointIndex
{
    /// <summary>The index of safetensors.</summary>
    public const string FileName = "model.safetensors.index.json";

    /// <summary>The index of pickles, looked for only where there are no safetensors.</summary>
    public const string PickleFileName = CheckpointFolder.PickleFileName + ".index.json";

    // DeepSeek-V3's has 92,000 tensors in 9 MB.
    private const int MaxBytes = 64 << 20;
    private const int MaxNameLength = 255;
    private const int MaxShards = 10_000;

    private CheckpointIndex(string name, Dictionary<string, string> weightMap, List<string> shards)
    {
        Name = name;
        WeightMap = weightMap;
        Shards = shards;
    }

    /// <summary>The file's name.</summary>
    public string Name { get; }

    /// <summary>Tensor name → shard name.</summary>
    public IReadOnlyDictionary<string, string> WeightMap { get; }

    /// <summary>The shard names, each once, in order of appearance.</summary>
    public IReadOnlyList<string> Shards { get; }

    /// <summary>Reads and checks the index of a folder.</summary>
    /// <exception cref="EngineException">
    /// The file is malformed, or names a shard that is not a plain file name; every such name is listed.
    /// </exception>
    public static CheckpointIndex Read(string folder, string name = FileName) => Parse(ModelFolderFile.ReadJson(folder, name, MaxBytes), name);

    /// <summary>Parses and checks an index.</summary>
    /// <exception cref="EngineException">As <see cref="Read"/>.</exception>
    public static CheckpointIndex Parse(ReadOnlySpan<byte> utf8, string name = FileName)
    {
        ModelFolderFile.CheckText(name, utf8);
        try
        {
            return ParseRoot(name, utf8);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escaped lone surrogate cannot become text.
            throw EngineException.ModelFolder(name, "is not valid JSON: " + e.Message, e);
        }
    }

    private static CheckpointIndex ParseRoot(string name, ReadOnlySpan<byte> utf8)
    {
        var json = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = 64 });
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
            throw EngineException.ModelFolder(name, $"found JSON {json.TokenType} at the top; an object with weight_map was wanted");

        CheckpointIndex? index = null;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isWeightMap = json.ValueTextEquals("weight_map"u8);
            json.Read();
            if (!isWeightMap)
                json.Skip();
            else if (index is not null)
                throw EngineException.ModelFolder(name, "weight_map: occurs twice, wanted once");
            else
                index = ParseWeightMap(name, ref json);
        }

        json.Read();
        return index
            ?? throw EngineException.ModelFolder(name, "weight_map: is missing; an object of tensor names to shard names was wanted");
    }

    private static CheckpointIndex ParseWeightMap(string name, ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw EngineException.ModelFolder(
                name, $"weight_map: found JSON {json.TokenType}, wanted an object of tensor names to shard names");
        }

        var problems = new ModelFolderProblems(name);
        var weightMap = new Dictionary<string, string>(StringComparer.Ordinal);
        var known = new Dictionary<string, string>(StringComparer.Ordinal);
        var shards = new List<string>();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var tensor = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                problems.Add($"weight_map: {Quote(tensor)}: found JSON {json.TokenType}, wanted the name of a shard");
                json.Skip();
                continue;
            }

            var shard = json.GetString()!;
            // One string per shard, not per tensor.
            if (known.TryGetValue(shard, out var first))
            {
                shard = first;
            }
            else
            {
                known.Add(shard, shard);
                if (FaultOf(name, shard) is { } fault)
                    problems.Add($"weight_map: {Quote(tensor)}: found shard {Quote(shard)}, {fault}");
                else
                    shards.Add(shard);
            }

            if (!weightMap.TryAdd(tensor, shard))
                problems.Add($"weight_map: {Quote(tensor)}: the tensor occurs twice, wanted once");
        }

        if (shards.Count > MaxShards)
            problems.Add($"weight_map: found {shards.Count} different shards, wanted at most {MaxShards}");
        if (weightMap.Count == 0 && problems.Count == 0)
            problems.Add("weight_map: is empty; a shard for every tensor was wanted");
        problems.ThrowIfAny();
        return new CheckpointIndex(name, weightMap, shards);
    }

    private static string? FaultOf(string name, string shard)
    {
        if (shard.Length is 0 or > MaxNameLength)
            return $"wanted a file name of 1 to {MaxNameLength} characters";
        // A colon names a drive or a stream on Windows.
        if (shard.AsSpan().IndexOfAny('/', '\\', ':') >= 0 || shard.Any(char.IsControl) || shard[0] == '.')
            return "wanted a plain file name inside the model folder";
        // An index of safetensors must not lead to a pickle.
        var suffix = name == FileName ? ".safetensors" : ".bin";
        return shard.EndsWith(suffix, StringComparison.Ordinal) ? null : $"wanted a {suffix} file; convert other formats";
    }
}
