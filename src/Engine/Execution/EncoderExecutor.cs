using System.Numerics;
using LocalLlm.Interop;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Execution;

/// <summary>
/// An encoder and its heads on one device. All calls come from one thread. One pass computes the dense, sparse and multi-vector outputs of
/// a batch (Chen et al., "M3-Embedding", 2024, arXiv:2402.03216).
/// </summary>
internal sealed class EncoderExecutor : IEncoderExecutor
{
    private readonly IDeviceOps? _ops;
    private readonly IEncoderModel? _model;
    private readonly EmbeddingHead? _sparse;
    private readonly EmbeddingHead? _multiVector;
    private readonly PoolingConfig _pooling;
    private readonly RankContext _rank;

    /// <summary>Loads a model folder.</summary>
    /// <param name="options">The options: the folder and the data types.</param>
    /// <param name="rank">Device and peers, owned by this executor; null: the only rank.</param>
    /// <param name="progress">Receives phases and bytes.</param>
    /// <param name="cancellationToken">Cancels loading.</param>
    /// <exception cref="EngineException">ModelFolder or Environment. Everything loaded so far is freed.</exception>
    public EncoderExecutor(EngineOptions options, RankContext? rank, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        _rank = rank ?? RankContext.Single(options.Device);
        try
        {
            Config = EncoderConfig.Load(options.ModelPath);
            _pooling = PoolingConfig.Load(options.ModelPath, Config.HiddenSize);
            MaxModelLength = LengthOf(Config, options.ModelPath);
            using var session = new LoadSession(options, _rank, Config.Dtype, whenUnsaid: ScalarType.Float32, DevicePriority.Low);
            _model = ModelRegistry.Create(Config, session.Context);
            session.LoadWeights(WeightPacking.Compact, progress, cancellationToken);
            _ops = session.HandOver();
            if (options.UsesDummyWeights)
                return; // dummy weights have no files for the heads
            var type = session.Context.ActivationType;
            _sparse = EmbeddingHead.Load(options.ModelPath, CheckpointFolder.Heads[0], 1, Config.HiddenSize, _ops, type);
            _multiVector = EmbeddingHead.Load(options.ModelPath, CheckpointFolder.Heads[1], null, Config.HiddenSize, _ops, type);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Maximum number of tokens of a text; see <see cref="MaxModelLength"/>.</summary>
    public static int LengthOf(EncoderConfig config, string folder) => Math.Min(config.MaxModelLength, SentenceConfig.Load(folder).MaxSequenceLength ?? int.MaxValue);

    /// <summary>The model's shape.</summary>
    public EncoderConfig Config { get; }

    /// <inheritdoc/>
    public int Dimensions => Config.HiddenSize;

    /// <inheritdoc/>
    public int MaxModelLength { get; }

    /// <inheritdoc/>
    public EmbeddingKinds Kinds => EmbeddingKinds.Dense | (_sparse is null ? 0 : EmbeddingKinds.Sparse) | (_multiVector is null ? 0 : EmbeddingKinds.MultiVector);

    /// <inheritdoc/>
    public TimeSpan? StepTimeout => _ops!.Features.Memory is null ? null : StepTimeouts.Device;

    /// <inheritdoc/>
    public int StepTokens => _ops!.Features.Memory is { } memory
        ? EngineOptionsDefaults.EncoderBatchedTokensOnGpu(memory.Now.AvailableBytes) : EngineOptionsDefaults.MaxNumBatchedTokens;

    /// <summary>Takes part in <see cref="Run"/> of the first rank, which alone reads the vectors.</summary>
    public void Follow(IReadOnlyList<int[]> texts)
    {
        using var noGradients = inference_mode();
        using var scope = NewDisposeScope();
        _model!.Forward(texts);
    }

    /// <inheritdoc/>
    public TextEmbedding?[] Run(IReadOnlyList<int[]> texts, IReadOnlyList<EmbeddingKinds> kinds, IReadOnlySet<int> specialIds)
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
        return [.. texts.Select((ids, i) => Embedding(
            ids,
            Asked(i, EmbeddingKinds.Dense, dense, i, 1, Config.HiddenSize),
            Asked(i, EmbeddingKinds.Sparse, weights, firsts[i], ids.Length, 1),
            Asked(i, EmbeddingKinds.MultiVector, tokenVectors, firsts[i], ids.Length, width),
            width,
            specialIds))];

        // A text's rows of a result, or null if they were not requested for it.
        ReadOnlyMemory<float>? Asked(int text, EmbeddingKinds kind, float[] all, long first, int rows, int columns)
        {
            if (!kinds[text].HasFlag(kind))
                return null;
            return all.AsMemory((int)first * columns, rows * columns);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _model?.Dispose();
        _sparse?.Dispose();
        _multiVector?.Dispose();
        _rank.Dispose();
        (_ops as IDisposable)?.Dispose();
    }

    // Null stands for what was not requested. vectors: [tokens · width].
    private static TextEmbedding? Embedding(int[] ids, ReadOnlyMemory<float>? dense, ReadOnlyMemory<float>? weights, ReadOnlyMemory<float>? vectors, int width, IReadOnlySet<int> specialIds)
    {
        if (!IsFinite(dense) || !IsFinite(weights) || !IsFinite(vectors))
            return null;
        return new()
        {
            TokenCount = ids.Length,
            Dense = dense?.ToArray(),
            Sparse = weights is { } of ? Sparse(ids, of.Span, specialIds) : null,
            // The first token stands for the whole text.
            MultiVector = vectors is { } all ? [.. Enumerable.Range(1, ids.Length - 1).Select(token => (IReadOnlyList<float>)all.Slice(token * width, width).ToArray())] : null,
        };
    }

    // NaN and infinities times 0 are NaN, and a sum with NaN stays NaN.
    private static bool IsFinite(ReadOnlyMemory<float>? memory)
    {
        var values = memory is { } asked ? asked.Span : [];
        var sum = Vector<float>.Zero;
        for (; values.Length >= Vector<float>.Count; values = values[Vector<float>.Count..])
            sum += new Vector<float>(values) * 0;
        var rest = 0f;
        foreach (var value in values)
            rest += value * 0;
        return Vector.Sum(sum) + rest == 0;
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

    // [tokens, hidden] → [texts, hidden]
    private Tensor Dense(Tensor hidden, IReadOnlyList<int[]> texts, long[] firsts)
    {
        var pooled = _pooling.IsMean
            ? stack(texts.Select((ids, i) => hidden.narrow(0, firsts[i], ids.Length).to(ScalarType.Float32).mean([0])))
            : hidden.index_select(0, tensor(firsts).to(_ops!.Device)).to(ScalarType.Float32);
        return _pooling.Normalizes ? nn.functional.normalize(pooled, p: 2, dim: 1) : pooled;
    }
}
