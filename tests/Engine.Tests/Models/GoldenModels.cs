using System.Text.Json;
using LocalLlm.Interop;
using LocalLlm.KvCache;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models;

/// <summary>A model with a small cache, run by hand: no scheduler, no engine.</summary>
internal sealed class BareModel : IDisposable
{
    private const int Blocks = 64;
    private readonly IDeviceOps _ops;
    private readonly string _folder;
    private readonly ScalarType _type;
    private readonly IReadOnlyList<KvLayerCache> _caches;

    public BareModel(string folder, IDeviceOps ops, ScalarType computeType, int maxModelLen = 512, bool predicts = false)
    {
        TorchLibrary.EnsureLoaded();
        _ops = ops;
        _folder = folder;
        _type = ops.ActivationType(computeType);
        Model = ModelRegistry.Create(ModelConfig.Load(folder), new LayerContext(ops, new SingleRankCollectives(), Weights, _type),
            new(maxModelLen, maxModelLen) { Predicts = predicts });
        LoadWeights();
        _caches = KvCacheTensors.Allocate(ops, Model.KvCache, Blocks, _type);
    }

    public ICausalLanguageModel Model { get; }

    public WeightRegistry Weights { get; } = new();

    public void LoadWeights()
    {
        using var checkpoint = Checkpoint.Open(_folder);
        using var staging = _ops.Features.Memory?.CreateStaging();
        WeightLoader.Load(Weights, checkpoint, _type, staging, null, CancellationToken.None);
    }

    /// <summary>Runs one sequence in chunks through shuffled blocks; logits of the last position.</summary>
    public float[] LastLogits(int[] ids, int chunk = int.MaxValue)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var table = Enumerable.Range(0, Blocks).ToArray();
        new Random(11).Shuffle(table);
        Tensor? hidden = null;
        for (var first = 0; first < ids.Length; first += Math.Min(chunk, ids.Length))
        {
            var part = ids[first..Math.Min(ids.Length, first + Math.Min(chunk, ids.Length))];
            using var metadata = new AttentionMetadata();
            metadata.Sequences.Add(new(0, part.Length, first + part.Length, 0));
            metadata.BlockTables.AddRange(table);
            Model.BeginStep();
            Model.AddPositions(metadata, first, part.Length, ids.Length);
            for (var position = first; position < first + part.Length; position++)
            {
                metadata.SlotMapping.Add((table[position / 16] * 16) + (position % 16));
            }

            hidden = Model.Forward(_ops.BeginStep(part, metadata), new ForwardContext(metadata, _caches));
            hidden = hidden.narrow(0, part.Length - 1, 1).contiguous();
        }

        return Model.ComputeLogits(hidden!).to(float32).cpu().data<float>().ToArray();
    }

    /// <summary>
    /// The tokens that multi-token prediction drafts behind the known tokens, the last of which was sampled. Computes the whole sequence at
    /// once.
    /// </summary>
    public int[] Drafts(int[] ids, int count)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var table = Enumerable.Range(0, Blocks).ToArray();
        using var metadata = Step(0, ids.Length - 1);
        var hidden = Model.Forward(_ops.BeginStep(ids.AsSpan(..^1), metadata), new ForwardContext(metadata, _caches));
        hidden = Model.Predictor!.Forward(hidden, isOfModel: true, tensor(ids[1..].Select(id => (long)id).ToArray()), new(metadata, _caches));
        var drafts = new List<int>();
        for (var position = ids.Length - 1; ; position++)
        {
            hidden = hidden.narrow(0, hidden.size(0) - 1, 1).contiguous();
            drafts.Add((int)Model.Predictor.ComputeLogits(hidden).argmax(-1).item<long>());
            if (drafts.Count == count)
                return [.. drafts];
            using var next = Step(position, 1);
            hidden = Model.Predictor.Forward(hidden, isOfModel: false, tensor([(long)drafts[^1]]), new(next, _caches));
        }

        AttentionMetadata Step(int first, int tokens)
        {
            var step = new AttentionMetadata();
            step.Sequences.Add(new(0, tokens, first + tokens, 0));
            step.BlockTables.AddRange(table);
            Model.BeginStep();
            Model.AddPositions(step, first, tokens, ids.Length);
            for (var position = first; position < first + tokens; position++)
                step.SlotMapping.Add(position);
            return step;
        }
    }

    public void Dispose()
    {
        foreach (var cache in _caches)
            cache.Dispose();
        Model.Dispose();
        (_ops as IDisposable)?.Dispose();
    }
}

/// <summary>What <c>golden.json</c> of a random-weight model holds.</summary>
internal sealed class GoldenFile
{
    private readonly JsonElement _root;

    public GoldenFile(string folder)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        _root = document.RootElement.Clone();
    }

    public IEnumerable<(int[] Ids, float[] LastLogits, int[] Greedy, double MinMargin)> Cases => _root.GetProperty("cases").EnumerateArray().Select(item => (
        Ints(item.GetProperty("ids")),
        item.GetProperty("last_logits").EnumerateArray().Select(value => value.GetSingle()).ToArray(),
        Ints(item.GetProperty("greedy")),
        item.GetProperty("greedy_min_margin").GetDouble()));

    public static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetInt32())];
}
