using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// One device with an encoder and its heads. All calls come from one thread. Dense, sparse and multi-vector outputs of a batch come from one pass, as in Chen et al., "BGE M3-Embedding" (2024).
/// </summary>
internal sealed class EncoderWorker : IDisposable
{
    private const string SparseFile = "sparse_linear.pt";
    private const string MultiVectorFile = "colbert_linear.pt";

    private readonly IDeviceOps _ops;
    private readonly XlmRobertaModel? _model;
    private readonly EmbeddingHead? _sparse;
    private readonly EmbeddingHead? _multiVector;
    private readonly PoolingConfig _pooling;

    /// <summary>Loads a model folder.</summary>
    /// <exception cref="EngineException">ModelFolder or Environment: nothing stays behind.</exception>
    public EncoderWorker(EngineOptions options, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        Config = EncoderConfig.Load(options.ModelPath);
        _pooling = PoolingConfig.Load(options.ModelPath, Config.HiddenSize);
        TorchLibrary.EnsureLoaded(options.LibTorchPath);
        if (options.NumThreads > 0)
            set_num_threads(options.NumThreads);
        _ops = DeviceOps.Create(options.Device, DevicePriority.Low);
        try
        {
            var type = _ops.ActivationType(TypeOf(options.Dtype));
            var registry = new WeightRegistry();
            _model = new(Config, new LayerContext(_ops, new SingleRankCollectives(), registry, type));
            using (var checkpoint = Checkpoint.Open(options.ModelPath))
            using (var staging = _ops.CreateStaging())
                WeightLoader.Load(registry, checkpoint, type, staging, progress is null ? null : new Told(progress), cancellationToken);
            _sparse = EmbeddingHead.Load(options.ModelPath, SparseFile, 1, Config.HiddenSize, _ops, type);
            _multiVector = EmbeddingHead.Load(options.ModelPath, MultiVectorFile, null, Config.HiddenSize, _ops, type);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The model's shape.</summary>
    public EncoderConfig Config { get; }

    /// <summary>What the model can say.</summary>
    public EmbeddingKinds Kinds => EmbeddingKinds.Dense | (_sparse is null ? 0 : EmbeddingKinds.Sparse) | (_multiVector is null ? 0 : EmbeddingKinds.MultiVector);

    /// <summary>Most tokens of a step, unless the options say so.</summary>
    public int StepTokens => _ops.Device.type == TorchSharp.DeviceType.CUDA ? EngineOptionsDefaults.EncoderBatchedTokensOnGpu(_ops.Memory.AvailableBytes) : EngineOptionsDefaults.MaxNumBatchedTokens;

    /// <summary>Embeds texts in one pass.</summary>
    /// <param name="texts">Token ids, special ones included; at most the model's length each.</param>
    /// <param name="kinds">What is wanted of each text.</param>
    /// <param name="specialIds">Tokens that have no sparse weight.</param>
    public TextEmbedding[] Run(IReadOnlyList<int[]> texts, IReadOnlyList<EmbeddingKinds> kinds, IReadOnlySet<int> specialIds)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        var hidden = _model!.Forward(texts); // [tokens, hidden]
        var firsts = new long[texts.Count];
        for (var i = 1; i < texts.Count; i++)
            firsts[i] = firsts[i - 1] + texts[i - 1].Length;
        var wanted = kinds.Aggregate((all, one) => all | one);
        var dense = wanted.HasFlag(EmbeddingKinds.Dense) ? Host(Dense(hidden, texts, firsts)) : [];
        var weights = wanted.HasFlag(EmbeddingKinds.Sparse) ? Host(nn.functional.relu(_sparse!.Forward(hidden))) : [];
        var vectors = wanted.HasFlag(EmbeddingKinds.MultiVector) ? _multiVector!.Forward(hidden).to(ScalarType.Float32) : null;
        var width = (int)(vectors?.shape[1] ?? 0);
        var tokenVectors = vectors is null ? [] : Host(nn.functional.normalize(vectors, p: 2, dim: 1));
        return [.. texts.Select((ids, i) => new TextEmbedding
        {
            TokenCount = ids.Length,
            Dense = kinds[i].HasFlag(EmbeddingKinds.Dense) ? dense.AsSpan(i * Config.HiddenSize, Config.HiddenSize).ToArray() : null,
            Sparse = kinds[i].HasFlag(EmbeddingKinds.Sparse) ? Sparse(ids, weights.AsSpan((int)firsts[i], ids.Length), specialIds) : null,
            MultiVector = kinds[i].HasFlag(EmbeddingKinds.MultiVector)
                ? [.. Enumerable.Range(1, ids.Length - 1).Select(token => (IReadOnlyList<float>)tokenVectors.AsSpan(((int)firsts[i] + token) * width, width).ToArray())]
                : null,
        })];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _model?.Dispose();
        _sparse?.Dispose();
        _multiVector?.Dispose();
        (_ops as IDisposable)?.Dispose();
    }

    private static Dictionary<int, float> Sparse(int[] ids, ReadOnlySpan<float> weights, IReadOnlySet<int> specialIds)
    {
        var result = new Dictionary<int, float>();
        for (var i = 0; i < ids.Length; i++)
        {
            if (weights[i] > 0 && !specialIds.Contains(ids[i]) && weights[i] > result.GetValueOrDefault(ids[i]))
                result[ids[i]] = weights[i];
        }

        return result;
    }

    // Row-major.
    private static unsafe float[] Host(Tensor x)
    {
        var here = x.to(ScalarType.Float32).cpu().contiguous();
        return new ReadOnlySpan<float>(here.DataPointer(), checked((int)here.numel())).ToArray();
    }

    private ScalarType TypeOf(string dtype) => dtype switch
    {
        "float32" or "float" => ScalarType.Float32,
        "bfloat16" => ScalarType.BFloat16,
        "float16" or "half" => ScalarType.Float16,
        _ => Config.Dtype switch
        {
            ModelDtype.Float16 => ScalarType.Float16,
            ModelDtype.BFloat16 => ScalarType.BFloat16,
            _ => ScalarType.Float32,
        },
    };

    // [tokens, hidden] → [texts, hidden]
    private Tensor Dense(Tensor hidden, IReadOnlyList<int[]> texts, long[] firsts)
    {
        var pooled = _pooling.IsMean
            ? stack(texts.Select((ids, i) => hidden.narrow(0, firsts[i], ids.Length).to(ScalarType.Float32).mean([0])))
            : hidden.index_select(0, tensor(firsts).to(_ops.Device)).to(ScalarType.Float32);
        return _pooling.Normalizes ? nn.functional.normalize(pooled, p: 2, dim: 1) : pooled;
    }

    private sealed class Told(IProgress<LoadProgress> progress) : IProgress<WeightProgress>
    {
        public void Report(WeightProgress value) => progress.Report(new("reading weights", value.BytesDone, value.BytesTotal));
    }
}
