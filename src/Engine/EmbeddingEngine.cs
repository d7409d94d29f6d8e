using LocalLlm.Execution;
using LocalLlm.Hub;
using LocalLlm.Models;
using LocalLlm.Scheduling;
using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;
using LocalLlm.Weights;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace LocalLlm;

/// <summary>
/// An embedding model in this process (bge-m3 and other XLM-RoBERTa encoders). Safe for concurrent requests: the engine computes their
/// texts together. Load one engine per model and share it.
/// </summary>
public sealed partial class EmbeddingEngine : IAsyncDisposable
{
    // Noncharacters. One of them marks special characters that are text and not a token.
    private const char FirstGuard = '\uFDD0';
    private const char LastGuard = '\uFDEF';
    private const string Input = "input";

    private readonly EmbeddingLoop _loop;
    private readonly Task _ended;

    private EmbeddingEngine(EngineOptions options, IEncoderExecutor executor, Tokenizer tokenizer, EmbeddingLoop loop, Task ended)
    {
        Options = options;
        _loop = loop;
        _ended = ended;
        Tokenizer = tokenizer;
        ModelName = LlmEngine.NameOf(options);
        Kinds = executor.Kinds;
        Dimensions = executor.Dimensions;
        MaxModelLen = options.MaxModelLen ?? executor.MaxModelLength;
    }

    /// <summary>What the engine was loaded with.</summary>
    public EngineOptions Options { get; }

    /// <summary>The model name that clients use.</summary>
    public string ModelName { get; }

    /// <summary>The kinds of embedding that the model computes.</summary>
    public EmbeddingKinds Kinds { get; }

    /// <summary>Width of dense vectors.</summary>
    public int Dimensions { get; }

    /// <summary>Maximum number of tokens of a text, special tokens included.</summary>
    public int MaxModelLen { get; }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Completes when the engine has ended, by shutdown or by failure (<see cref="HasFailed"/>). Never faults.</summary>
    public Task Completion => _ended;

    /// <summary>False once the engine is shutting down or has failed.</summary>
    public bool IsAlive => _loop.Closed is null;

    /// <summary>Whether the device has failed. The model must then be loaded again.</summary>
    public bool HasFailed => _loop.Closed is { Kind: EngineErrorKind.EngineDead };

    /// <summary>Maximum number of tokens of a step; a single longer text gets a step of its own.</summary>
    internal int MaxBatchedTokens => _loop.MaxBatchedTokens;

    /// <summary>The engine's current and cumulative figures.</summary>
    public EmbeddingStatistics Statistics => _loop.Statistics;

    /// <summary>
    /// The kinds of embedding that an encoder in a folder computes, judged by its files: always dense vectors, the other kinds if their
    /// weights exist.
    /// </summary>
    /// <param name="folder">An existing folder.</param>
    public static EmbeddingKinds KindsIn(string folder) => EmbeddingKinds.Dense
        | (CheckpointFolder.HeadIn(folder, CheckpointFolder.Heads[0]) is null ? 0 : EmbeddingKinds.Sparse)
        | (CheckpointFolder.HeadIn(folder, CheckpointFolder.Heads[1]) is null ? 0 : EmbeddingKinds.MultiVector);

    /// <summary>Loads a model and starts the engine.</summary>
    /// <param name="options">The model's folder or repository, and the options for device, data type, batching and shutdown. Options that
    /// apply to generation alone are refused.</param>
    /// <param name="progress">Receives the current phase and its bytes.</param>
    /// <param name="cancellationToken">Cancels loading.</param>
    /// <exception cref="EngineException">InvalidOptions, ModelFolder or Environment. Everything loaded so far is freed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async Task<EmbeddingEngine> LoadAsync(EngineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        EngineOptionsValidator.ValidateEncoder(options);
        options = ModelSource.Local(options);
        var logger = new GuardedLogger((options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(EngineMetrics.Name));
        if (ModelSource.IsRemote(options))
        {
            options = await ModelSource.ResolveAsync(options, (model, hub) => ModelHub.ResolveAsync(
                model, hub with { Warning = text => LlmEngine.LogHub(logger, text) }, new DownloadPhase(model, progress), cancellationToken)).ConfigureAwait(false);
        }

        var loaded = new TaskCompletionSource<EmbeddingEngine>(TaskCreationOptions.RunContinuationsAsynchronously);
        // The device belongs to one thread for its whole life.
        new Thread(() => RunDeviceThread(options, progress, logger, loaded, cancellationToken)) { IsBackground = true, Name = "LocalLlm embedding engine" }.Start();
        return await loaded.Task.ConfigureAwait(false);
    }

    /// <summary>Embeds texts. The engine batches the texts of all callers; when they exceed a step, callers take turns.</summary>
    /// <param name="texts">The texts; special tokens in them are treated as text.</param>
    /// <param name="kinds">The kinds of embedding to return; one forward pass computes all of them.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; if false, it is refused.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <returns>One embedding for each text, in the order of the texts.</returns>
    /// <exception cref="EngineException">InvalidRequest or ContextLengthExceeded (all texts are refused together), ShuttingDown,
    /// EngineDead or GenerationFailed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<IReadOnlyList<TextEmbedding>> EmbedAsync(IReadOnlyList<string> texts, EmbeddingKinds kinds = EmbeddingKinds.Dense, bool truncate = false, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return EmbedAsync(texts, kinds, truncate ? MaxModelLen : null, cancellationToken);
    }

    /// <summary>Embeds texts.</summary>
    /// <param name="texts">The texts; special tokens in them are treated as text.</param>
    /// <param name="kinds">The kinds of embedding to return; one forward pass computes all of them.</param>
    /// <param name="cutAt">Number of tokens at which a text is cut; null: a text that is too long is refused.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <inheritdoc cref="EmbedAsync(IReadOnlyList{string}, EmbeddingKinds, bool, CancellationToken)"/>
    public async Task<IReadOnlyList<TextEmbedding>> EmbedAsync(IReadOnlyList<string> texts, EmbeddingKinds kinds, int? cutAt, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        CheckKinds(kinds);
        if (texts.Count == 0)
            return [];
        // Tokenizing is CPU work, and the caller's thread may be a user interface's or a socket's.
        var tokens = await Task.Run(() => Tokens(texts, index => $"{Input}[{index}]", Input, cutAt, cancellationToken), cancellationToken).ConfigureAwait(false);
        return await RunAsync(tokens, kinds, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Embeds one text.</summary>
    /// <param name="text">The text; special tokens in it are treated as text.</param>
    /// <param name="kinds">The kinds of embedding to return; one forward pass computes all of them.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; if false, it is refused.</param>
    /// <param name="field">What errors call the text.</param>
    /// <param name="cancellationToken">Cancels the request if the text has not been computed yet.</param>
    /// <inheritdoc cref="EmbedAsync(IReadOnlyList{string}, EmbeddingKinds, bool, CancellationToken)" path="/exception"/>
    public async Task<TextEmbedding> EmbedAsync(string text, EmbeddingKinds kinds = EmbeddingKinds.Dense, bool truncate = false, string field = Input, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        CheckKinds(kinds);
        return (await RunAsync([Encode(text, field, field, truncate ? MaxModelLen : null)], kinds, cancellationToken).ConfigureAwait(false))[0];
    }

    /// <summary>Embeds texts that are already tokenized.</summary>
    /// <param name="texts">Token ids of each text, special tokens included.</param>
    /// <param name="kinds">The kinds of embedding to return; one forward pass computes all of them.</param>
    /// <param name="cancellationToken">Cancels what has not been computed yet.</param>
    /// <inheritdoc cref="EmbedAsync(IReadOnlyList{string}, EmbeddingKinds, bool, CancellationToken)"/>
    public async Task<IReadOnlyList<TextEmbedding>> EmbedTokensAsync(IReadOnlyList<IReadOnlyList<int>> texts, EmbeddingKinds kinds = EmbeddingKinds.Dense, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        CheckKinds(kinds);
        if (texts.Count == 0)
            return [];
        return await RunAsync([.. texts.Select((ids, index) => Checked([.. ids ?? throw EngineException.InvalidRequest(Input, $"{Input}[{index}] is null; give token ids")], $"{Input}[{index}]", Input))], kinds, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Computes one token, to check that the device still works. Metrics leave it out.</summary>
    /// <exception cref="EngineException">The device does not work.</exception>
    public Task ProbeAsync(CancellationToken cancellationToken = default)
    {
        var probe = new EmbeddingWork([0], EmbeddingKinds.Dense) { IsProbe = true };
        _loop.Submit(new([probe], cancellationToken));
        return probe.Result.Task.WaitAsync(cancellationToken);
    }

    /// <summary>
    /// Accepts no more texts, computes waiting ones for up to <see cref="EngineOptions.DrainTimeout"/>, refuses the rest, and frees the
    /// device.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        _loop.BeginDrain();
        if (Options.DrainTimeout > TimeSpan.Zero)
            await Task.WhenAny(_ended, Task.Delay(Options.DrainTimeout)).ConfigureAwait(false);
        _loop.Stop();
        await _ended.ConfigureAwait(false);
    }

    private static void RunDeviceThread(EngineOptions options, IProgress<LoadProgress>? progress, ILogger logger, TaskCompletionSource<EmbeddingEngine> loaded, CancellationToken cancellationToken)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        IEncoderExecutor? executor = null;
        EmbeddingLoop loop;
        try
        {
            ModelSource.RequireModelFolder(options);
            var tokenizer = TokenizerErrors.Translated(() => Tokenizer.Load(options.TokenizerPath ?? options.ModelPath));
            var config = EncoderConfig.Load(options.ModelPath);
            var longest = EncoderExecutor.LengthOf(config, options.ModelPath);
            ModelLengths.Check(options, longest);
            if (tokenizer.VocabularySize > config.VocabSize)
                throw EngineException.ModelFolder("tokenizer.json", $"has token ids up to {tokenizer.VocabularySize - 1}, but the model's table has {config.VocabSize} rows (config.json, vocab_size); the two do not belong together");
            var local = ParallelEncoderExecutor.Create(options, progress, cancellationToken);
            executor = options.DecorateEncoder?.Invoke(local) ?? local;
            loop = new(executor, options, LlmEngine.NameOf(options), tokenizer.AllSpecialIds.Append(tokenizer.UnkTokenId ?? -1).ToHashSet(), logger);
            loaded.SetResult(new(options, executor, tokenizer, loop, ended.Task));
        }
        catch (Exception failure)
        {
            executor?.Dispose();
            if (failure is OperationCanceledException && cancellationToken.IsCancellationRequested)
                loaded.SetCanceled(cancellationToken);
            else
                loaded.SetException(failure);
            return;
        }

        // If the device never returns from a call, the thread is abandoned.
        loop.GivenUp.ContinueWith(_ => ended.TrySetResult(), TaskScheduler.Default);
        try
        {
            using (loop)
                loop.Run();
        }
        catch (Exception failure)
        {
            // Freeing a device that has failed may fail again; the application must go on.
            LlmEngine.LogDeviceNotFreed(logger, failure);
        }
        finally
        {
            ended.TrySetResult();
        }
    }

    private async Task<IReadOnlyList<TextEmbedding>> RunAsync(int[][] texts, EmbeddingKinds kinds, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var works = texts.Select(ids => new EmbeddingWork(ids, kinds)).ToArray();
        _loop.Submit(new(works, cancellationToken));
        return await Task.WhenAll(works.Select(work => work.Result.Task)).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private void CheckKinds(EmbeddingKinds kinds)
    {
        if (kinds == EmbeddingKinds.None || (kinds & ~Kinds) != 0)
            throw EngineException.InvalidRequest(
                "kinds", $"kinds is {kinds}; request at least one kind that '{ModelName}' computes: {Kinds}");
    }

    private int[][] Tokens(IReadOnlyList<string> texts, Func<int, string> place, string field, int? cutAt, CancellationToken cancellationToken) => [.. texts.Select((text, index) =>
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Encode(text, place(index), field, cutAt);
    })];

    // place: where the text is in the caller's field, as errors name it.
    private int[] Encode(string? text, string place, string field, int? cutAt)
    {
        if (text is null)
            throw EngineException.InvalidRequest(field, $"{place} is null; give a text");
        var ids = Encode(text, place, field, addSpecialTokens: true);
        // The last token is the end-of-text token: a cut text keeps it.
        return Checked(ids.Length > cutAt ? [.. ids[..(cutAt.Value - 1)], ids[^1]] : ids, place, field);
    }

    /// <summary>Tokenizes a text as for an embedding, without cutting it. Special tokens in it are treated as text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether to add the tokenizer's own special tokens.</param>
    /// <param name="field">What errors call the text.</param>
    /// <exception cref="EngineException">InvalidRequest: the text uses every noncharacter that could guard special tokens.</exception>
    public int[] Tokenize(string text, bool addSpecialTokens = true, string field = Input)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Encode(text, field, field, addSpecialTokens);
    }

    private int[] Encode(string text, string place, string field, bool addSpecialTokens)
    {
        var guard = Enumerable.Range(FirstGuard, LastGuard - FirstGuard + 1).Select(mark => (char)mark).FirstOrDefault(mark => !text.Contains(mark));
        return guard == default
            ? throw EngineException.InvalidRequest(field, $"{place} contains every one of the noncharacters U+FDD0 to U+FDEF; at most 31 of them are allowed")
            : TokenizerErrors.Translated(() => Tokenizer.Encode(Tokenizer.GuardText(text, guard), addSpecialTokens, guard));
    }

    private int[] Checked(int[] ids, string place, string field)
    {
        if (ids.Length == 0)
            throw EngineException.InvalidRequest(field, $"{place} has no tokens; at least 1 is needed");
        if (ids.Length > MaxModelLen)
            throw new EngineException(EngineErrorKind.ContextLengthExceeded, $"{place} has {ids.Length} tokens; the model takes {MaxModelLen}. Split the text, or ask for it to be truncated.", field);
        var foreign = ids.AsSpan().IndexOfAnyExceptInRange(0, Tokenizer.VocabularySize - 1);
        if (foreign >= 0)
            throw EngineException.InvalidRequest(field, $"{place} has the token id {ids[foreign]}; allowed: 0 to {Tokenizer.VocabularySize - 1}");
        return ids;
    }
}
