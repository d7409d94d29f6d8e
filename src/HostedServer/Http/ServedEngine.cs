using System.Globalization;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server.Http;

/// <summary>
/// The engines as requests see them: a generating model, an embedding model, or both. Each may be loading, usable or gone.
/// </summary>
internal sealed class ServedEngine
{
    private const string EngineDead = "engine_dead";
    private const string EmbedderDead = "The engine of the embedding model has failed; the server must be restarted.";

    // The same as the default number of concurrent sequences of a generating model.
    private const int EmbeddingsAtOnce = 256;

    private readonly IModelHost<LlmEngine>? _generator;
    private readonly IModelHost<EmbeddingEngine>? _embedder;
    private readonly IModelHost _first;
    private readonly LocalLlmServerOptions _options;
    private readonly Admission _admission;

    /// <param name="services">The services with the model hosts.</param>
    /// <param name="options">The server's options, with further names of the model.</param>
    /// <param name="admission">Closed while the server drains.</param>
    /// <param name="time">The clock.</param>
    public ServedEngine(IServiceProvider services, LocalLlmServerOptions options, Admission admission, TimeProvider time)
    {
        (_generator, _embedder) = (services.GetService<IModelHost<LlmEngine>>(), services.GetService<IModelHost<EmbeddingEngine>>());
        _first = (IModelHost?)_generator ?? _embedder ?? throw new InvalidOperationException("No model is registered; call services.AddLocalLlm or services.AddLocalLlmEmbeddings.");
        (_options, _admission) = (options, admission);
        Created = time.GetUtcNow().ToUnixTimeSeconds();
        Names = [.. options.ModelAliases.Prepend(_first.ModelId).Distinct(StringComparer.Ordinal)];
    }

    /// <summary>The server's main model: the generating model if there is one.</summary>
    public IModelHost First => _first;

    /// <summary>An embedding model beside <see cref="First"/>, or null.</summary>
    public IModelHost? SecondModel => IsEncoder ? null : _embedder;

    /// <summary>When the server was created, in seconds since 1970; clients see it as the model's creation time.</summary>
    public long Created { get; }

    /// <summary>The names that requests may use for <see cref="First"/>; responses carry the first name.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Whether the server only embeds.</summary>
    public bool IsEncoder => _generator is null;

    /// <summary>Whether requests can be served now.</summary>
    public bool IsUsable => _first.IsAlive && !_admission.IsClosed;

    /// <summary>
    /// Whether only a restart helps: the main model could not be loaded, or either engine has failed. If the second model could not be
    /// loaded, the server runs without it.
    /// </summary>
    public bool HasFailed => _first.Failure is not null || _first.HasFailed || HasSecondFailed;

    private bool HasSecondFailed => SecondModel is { HasFailed: true };

    /// <summary>The probe of <see cref="First"/>; only while the server is usable.</summary>
    public ProgressProbe ProgressProbe => _generator is not null ? ProgressProbe.Of(_generator.Loaded!) : ProgressProbe.Of(_embedder!.Loaded!);

    /// <summary>The loaded models: names, and the maximum length of each.</summary>
    public IEnumerable<(string Name, string Root, int MaxModelLen)> Models
    {
        get
        {
            if (_generator?.Loaded is { } generator)
                return [.. Names.Select(name => (name, Names[0], generator.MaxModelLen)), .. _embedder?.Loaded is { } beside ? [(_embedder.ModelId, _embedder.ModelId, beside.MaxModelLen)] : Array.Empty<(string, string, int)>()];
            return _embedder?.Loaded is { } embedder ? Names.Select(name => (name, Names[0], embedder.MaxModelLen)) : [];
        }
    }

    /// <summary>Throws unless requests can be served.</summary>
    /// <exception cref="ApiException">503: the model loads (the error says phase and percentage), drains, or has failed.</exception>
    public void RequireUsable()
    {
        if (!IsUsable)
            throw new ApiException(ApiError.Unavailable(Explain().Message, Explain().Code));
    }

    /// <summary>Returns the generating engine, before the request's model name is known.</summary>
    /// <exception cref="ApiException">503: the model loads (the error has phase and percentage), drains, or has failed. 400: the server
    /// only embeds.</exception>
    public LlmEngine Require()
    {
        RequireUsable();
        return _generator?.Loaded ?? throw new ApiException(ApiError.ModelNotSupported($"{OnlyEmbeds(Names[0])} To generate text, serve a model that does."));
    }

    /// <summary>Checks the model name of a request for generated text.</summary>
    /// <param name="asked">The name, or null.</param>
    /// <exception cref="ApiException">404: no such model is served. 400: the model is served but does not generate text.</exception>
    public void CheckGenerator(string? asked)
    {
        if (IsName(asked))
            return;
        throw new ApiException(asked == _embedder?.ModelId
            ? ApiError.ModelNotSupported($"{OnlyEmbeds(asked!)} Use '{Names[0]}' here.")
            : ApiError.ModelNotFound(asked!, Names));
    }

    /// <summary>Returns the embedding engine; call <see cref="RequireUsable"/> first.</summary>
    /// <param name="asked">The model that the request names, or null.</param>
    /// <exception cref="ApiException">503: the engine is not available. 404: no such model is served. 400: the model is served but computes
    /// no embeddings.</exception>
    public EmbeddingEngine RequireEmbedder(string? asked)
    {
        if (IsEncoder ? IsName(asked) : _embedder is not null && (string.IsNullOrEmpty(asked) || asked == _embedder.ModelId))
            return _embedder!.Loaded is { IsAlive: true } engine ? engine : throw new ApiException(WhyNot(_embedder));
        // Without an embedding model no name is valid.
        if (IsEncoder || !IsName(asked))
            throw new ApiException(ApiError.ModelNotFound(asked!, _embedder is null || IsEncoder ? Names : [_embedder.ModelId]));
        throw new ApiException(ApiError.ModelNotSupported(
            $"'{(string.IsNullOrEmpty(asked) ? Names[0] : asked)}' generates text and has no embeddings or scores; use /v1/chat/completions or /v1/completions. "
            + (_embedder is null ? "To embed, rerank or score, serve an embedding model (--embedding-model)." : $"Use '{_embedder.ModelId}' here.")));
    }

    /// <summary>Returns the tokenizer of a model; call <see cref="RequireUsable"/> first.</summary>
    /// <param name="asked">The model that the request names; null: <see cref="First"/>.</param>
    /// <exception cref="ApiException">404: the model is not served. 400: the server runs without a tokenizer.</exception>
    public ServedTokenizer RequireTokenizer(string? asked)
    {
        if (IsEncoder || (_embedder is not null && asked == _embedder.ModelId && !IsName(asked)))
            return ServedTokenizer.Of(RequireEmbedder(asked), IsEncoder ? null : Names[0]);
        if (!IsName(asked))
            throw new ApiException(ApiError.ModelNotFound(asked!, _embedder is null ? Names : [.. Names, _embedder.ModelId]));
        return ServedTokenizer.Of(Require());
    }

    private static string OnlyEmbeds(string model) => $"'{model}' is an embedding model and generates no text; it answers /v1/embeddings, /rerank and /score.";

    // A request that names no model means the first one.
    private bool IsName(string? asked) => string.IsNullOrEmpty(asked) || Names.Contains(asked, StringComparer.Ordinal);

    /// <summary>Why the server is not usable.</summary>
    public (string Code, string Message, string? Phase, double? Percent) Explain()
    {
        if (_admission.IsClosed)
            return ("shutting_down", "The server is shutting down and accepts no more requests.", null, null);
        if (_first.Failure is not null)
            return ("load_failed", "The model could not be loaded; the server's log says why.", null, null);
        if (HasSecondFailed)
            return (EngineDead, EmbedderDead, null, null);
        if (_first.IsLoaded)
            return (EngineDead, "The engine has failed; the server must be restarted.", null, null);
        var progress = _first.Progress;
        double? percent = progress.BytesTotal > 0 ? Math.Round(100.0 * progress.BytesDone / progress.BytesTotal, 1) : null;
        var share = percent is { } known ? string.Create(CultureInfo.InvariantCulture, $", {known:F1} %") : "";
        return ("model_loading", $"The model is not loaded yet: {progress.Phase}{share}. Try again later.", progress.Phase, percent);
    }

    // The model is not alive: it loads, could not be loaded, has failed, or was stopped with the server.
    private static ApiError WhyNot(IModelHost embedder) => embedder switch
    {
        { Failure: not null } => ApiError.Unavailable("The embedding model could not be loaded; the server must be started with another one.", "load_failed"),
        { HasFailed: true } => ApiError.Unavailable(EmbedderDead, EngineDead),
        { IsLoaded: true } => ApiError.Unavailable("The server is shutting down and accepts no more requests.", "shutting_down"),
        _ => ApiError.Unavailable("The embedding model is not loaded yet. Try again later.", "model_loading"),
    };

    /// <summary>Maximum number of sequences that run or wait.</summary>
    public int MaxSequences => (_generator?.Loaded?.MaxNumSeqs ?? EmbeddingsAtOnce) + _options.MaxQueuedSequences;
}
