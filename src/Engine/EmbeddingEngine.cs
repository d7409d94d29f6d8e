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
/// An embedding model in this process (bge-m3, and XLM-RoBERTa encoders of its kind). Safe for concurrent requests, whose texts are
/// computed together; load one per model and share it.
/// </summary>
public sealed partial class EmbeddingEngine : IAsyncDisposable
{
    // Noncharacters, of which one marks what is text and no token.
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

    /// <summary>The name that clients call the model.</summary>
    public string ModelName { get; }

    /// <summary>What the model can say of a text.</summary>
    public EmbeddingKinds Kinds { get; }

    /// <summary>Width of dense vectors.</summary>
    public int Dimensions { get; }

    /// <summary>Most tokens of a text, special ones included.</summary>
    public int MaxModelLen { get; }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Completes when the engine has ended: it was shut down, or has failed (<see cref="HasFailed"/>). Never faults.</summary>
    public Task Completion => _ended;

    /// <summary>False once the engine is shutting down or has failed.</summary>
    public bool IsAlive => _loop.Closed is null;

    /// <summary>Whether the device has failed, so that only loading the model again helps.</summary>
    public bool HasFailed => _loop.Closed is { Kind: EngineErrorKind.EngineDead };

    /// <summary>Most tokens of a step, unless a text alone has more.</summary>
    internal int MaxBatchedTokens => _loop.MaxBatchedTokens;

    /// <summary>What it does at the moment, and has done.</summary>
    public EmbeddingStatistics Statistics => _loop.Statistics;

    /// <summary>
    /// What an encoder in a folder makes, as far as the files that are there tell: a vector always, the others where their weights are.
    /// </summary>
    /// <param name="folder">A folder, which exists.</param>
    public static EmbeddingKinds KindsIn(string folder) => EmbeddingKinds.Dense
        | (CheckpointFolder.HeadIn(folder, CheckpointFolder.Heads[0]) is null ? 0 : EmbeddingKinds.Sparse)
        | (CheckpointFolder.HeadIn(folder, CheckpointFolder.Heads[1]) is null ? 0 : EmbeddingKinds.MultiVector);

    /// <summary>Loads a model and starts the engine.</summary>
    /// <param name="options">The model's folder or repository; of the rest, those that have to do with a device, a type, a batch and the
    /// end. Those of generation alone are refused.</param>
    /// <param name="progress">Told of phases and bytes.</param>
    /// <param name="cancellationToken">Gives up loading.</param>
    /// <exception cref="EngineException">InvalidOptions, ModelFolder or Environment: nothing stays behind.</exception>
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

    /// <summary>Embeds texts. Those of all callers are computed together, and take turns where they are more than a step.</summary>
    /// <param name="texts">The texts; special tokens in them are text.</param>
    /// <param name="kinds">What is wanted; every kind comes from the same pass.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; otherwise it is refused.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <returns>One for each text, in their order.</returns>
    /// <exception cref="EngineException">InvalidRequest or ContextLengthExceeded: all texts are refused together; ShuttingDown; EngineDead;
    /// GenerationFailed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<IReadOnlyList<TextEmbedding>> EmbedAsync(IReadOnlyList<string> texts, EmbeddingKinds kinds = EmbeddingKinds.Dense, bool truncate = false, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return EmbedAsync(texts, kinds, truncate ? MaxModelLen : null, cancellationToken);
    }

    /// <summary>Embeds texts.</summary>
    /// <param name="texts">The texts; special tokens in them are text.</param>
    /// <param name="kinds">What is wanted; every kind comes from the same pass.</param>
    /// <param name="cutAt">Tokens at which a text is cut; null: one that is too long is refused.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <inheritdoc cref="EmbedAsync(IReadOnlyList{string}, EmbeddingKinds, bool, CancellationToken)"/>
    public async Task<IReadOnlyList<TextEmbedding>> EmbedAsync(IReadOnlyList<string> texts, EmbeddingKinds kinds, int? cutAt, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        CheckKinds(kinds);
        if (texts.Count == 0)
            return [];
        // Tokens are work for a processor, and the caller's thread may be that of a window or of a socket.
        var tokens = await Task.Run(() => Tokens(texts, index => $"{Input}[{index}]", Input, cutAt, cancellationToken), cancellationToken).ConfigureAwait(false);
        return await RunAsync(tokens, kinds, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Embeds one text.</summary>
    /// <param name="text">The text; special tokens in it are text.</param>
    /// <param name="kinds">What is wanted; every kind comes from the same pass.</param>
    /// <param name="truncate">Whether a text that is too long is cut at its end; otherwise it is refused.</param>
    /// <param name="field">What errors call the text.</param>
    /// <param name="cancellationToken">Gives it up, unless it is computed by then.</param>
    /// <inheritdoc cref="EmbedAsync(IReadOnlyList{string}, EmbeddingKinds, bool, CancellationToken)" path="/exception"/>
    public async Task<TextEmbedding> EmbedAsync(string text, EmbeddingKinds kinds = EmbeddingKinds.Dense, bool truncate = false, string field = Input, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        CheckKinds(kinds);
        return (await RunAsync([Encode(text, field, field, truncate ? MaxModelLen : null)], kinds, cancellationToken).ConfigureAwait(false))[0];
    }

    /// <summary>Embeds texts that are tokens already.</summary>
    /// <param name="texts">Token ids of each, special ones included.</param>
    /// <param name="kinds">What is wanted; every kind comes from the same pass.</param>
    /// <param name="cancellationToken">Gives up what has not been computed.</param>
    /// <inheritdoc cref="EmbedAsync(IReadOnlyList{string}, EmbeddingKinds, bool, CancellationToken)"/>
    public async Task<IReadOnlyList<TextEmbedding>> EmbedTokensAsync(IReadOnlyList<IReadOnlyList<int>> texts, EmbeddingKinds kinds = EmbeddingKinds.Dense, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        CheckKinds(kinds);
        if (texts.Count == 0)
            return [];
        return await RunAsync([.. texts.Select((ids, index) => Checked([.. ids ?? throw EngineException.InvalidRequest(Input, $"{Input}[{index}] is null; give token ids")], $"{Input}[{index}]", Input))], kinds, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Computes one token, to see that the device still does; nothing is measured.</summary>
    /// <exception cref="EngineException">It does not.</exception>
    public Task ProbeAsync(CancellationToken cancellationToken = default)
    {
        var probe = new EmbeddingWork([0], EmbeddingKinds.Dense) { IsProbe = true };
        _loop.Submit(new([probe], cancellationToken));
        return probe.Result.Task.WaitAsync(cancellationToken);
    }

    /// <summary>
    /// Takes no more texts, lets those that wait be finished for <see cref="EngineOptions.DrainTimeout"/>, refuses the rest, and frees the
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

        // A thread that a device holds for ever is left behind.
        loop.GivenUp.ContinueWith(_ => ended.TrySetResult(), TaskScheduler.Default);
        try
        {
            using (loop)
                loop.Run();
        }
        catch (Exception failure)
        {
            // A device that has failed may fail again when it is freed; the application goes on.
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
            throw EngineException.InvalidRequest("kinds", $"kinds is {kinds}; ask for at least one of those that '{ModelName}' makes: {Kinds}");
    }

    private int[][] Tokens(IReadOnlyList<string> texts, Func<int, string> place, string field, int? cutAt, CancellationToken cancellationToken) => [.. texts.Select((text, index) =>
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Encode(text, place(index), field, cutAt);
    })];

    // A place is where the text stands in the caller's field, as errors call it.
    private int[] Encode(string? text, string place, string field, int? cutAt)
    {
        if (text is null)
            throw EngineException.InvalidRequest(field, $"{place} is null; give a text");
        var ids = Encode(text, place, field, addSpecialTokens: true);
        // The last token closes the text.
        return Checked(ids.Length > cutAt ? [.. ids[..(cutAt.Value - 1)], ids[^1]] : ids, place, field);
    }

    /// <summary>The tokens of a text as it is embedded: special tokens in it are text. It is not cut.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether it gets the tokenizer's own special tokens.</param>
    /// <param name="field">What errors call the text.</param>
    /// <exception cref="EngineException">InvalidRequest: it has all of the noncharacters that could mark special tokens.</exception>
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
