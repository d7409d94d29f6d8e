using System.Globalization;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server.Http;

/// <summary>The engines as requests see them: a model that generates, one that embeds, or both; there, or not yet, or no more.</summary>
internal sealed class ServedEngine
{
    private const string EngineDead = "engine_dead";
    private const string EmbedderDead = "The engine of the embedding model has failed; the server must be restarted.";

    // As many as run at once of a model that generates, unless the options say otherwise.
    private const int EmbeddingsAtOnce = 256;

    private readonly IModelHost<LlmEngine>? _generator;
    private readonly IModelHost<EmbeddingEngine>? _embedder;
    private readonly IModelHost _first;
    private readonly LocalLlmServerOptions _options;
    private readonly Admission _admission;

    /// <param name="services">Who loads them.</param>
    /// <param name="options">Further names of the model.</param>
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

    /// <summary>The model that the server is there for: the one that generates, where there is one.</summary>
    public IModelHost First => _first;

    /// <summary>A model that embeds beside it, or null.</summary>
    public IModelHost? Beside => IsEncoder ? null : _embedder;

    /// <summary>When the server was made, in seconds since 1970: as old as its model is to clients.</summary>
    public long Created { get; }

    /// <summary>The names that requests may use for <see cref="First"/>; the first is the one that answers carry.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>Whether the server only embeds.</summary>
    public bool IsEncoder => _generator is null;

    /// <summary>Whether requests can be answered now.</summary>
    public bool IsUsable => _first.IsAlive && !_admission.IsClosed;

    /// <summary>
    /// Whether only a restart helps: the model could not be loaded, or an engine has failed, be it that of a model beside it. One beside it
    /// that could not be loaded is done without.
    /// </summary>
    public bool HasFailed => _first.Failure is not null || _first.HasFailed || IsBesideDead;

    private bool IsBesideDead => Beside is { HasFailed: true };

    /// <summary>Where it is felt that <see cref="First"/> works; only while it is usable.</summary>
    public Pulse Pulse => _generator is not null ? Pulse.Of(_generator.Loaded!) : Pulse.Of(_embedder!.Loaded!);

    /// <summary>The models that are loaded: names, and the most tokens of each.</summary>
    public IEnumerable<(string Name, string Root, int MaxModelLen)> Models
    {
        get
        {
            if (_generator?.Loaded is { } generator)
                return [.. Names.Select(name => (name, Names[0], generator.MaxModelLen)), .. _embedder?.Loaded is { } beside ? [(_embedder.ModelId, _embedder.ModelId, beside.MaxModelLen)] : Array.Empty<(string, string, int)>()];
            return _embedder?.Loaded is { } embedder ? Names.Select(name => (name, Names[0], embedder.MaxModelLen)) : [];
        }
    }

    /// <summary>Whether any request can be answered.</summary>
    /// <exception cref="ApiException">503: the model loads (the error says phase and percentage), drains, or has failed.</exception>
    public void RequireUsable()
    {
        if (!IsUsable)
            throw new ApiException(ApiError.Unavailable(Explain().Message, Explain().Code));
    }

    /// <summary>The engine that generates, before it is known which model the request names.</summary>
    /// <exception cref="ApiException">503: it loads (the error has phase and percentage), drains, or has failed. 400: the server only
    /// embeds.</exception>
    public LlmEngine Require()
    {
        RequireUsable();
        return _generator?.Loaded ?? throw new ApiException(ApiError.ModelNotSupported($"{OnlyEmbeds(Names[0])} To generate text, serve a model that does."));
    }

    /// <summary>Checks the name that a request for generated text gives.</summary>
    /// <param name="asked">The name, or null.</param>
    /// <exception cref="ApiException">404: no such model is served. 400: the model is served, and generates no text.</exception>
    public void CheckGenerator(string? asked)
    {
        if (IsName(asked))
            return;
        throw new ApiException(asked == _embedder?.ModelId
            ? ApiError.ModelNotSupported($"{OnlyEmbeds(asked!)} Use '{Names[0]}' here.")
            : ApiError.ModelNotFound(asked!, Names));
    }

    /// <summary>The engine that embeds; after <see cref="RequireUsable"/>.</summary>
    /// <param name="asked">The model that the request names, or null.</param>
    /// <exception cref="ApiException">503: it is not there. 404: no such model is served. 400: the model is served, and makes no
    /// embeddings.</exception>
    public EmbeddingEngine RequireEmbedder(string? asked)
    {
        if (IsEncoder ? IsName(asked) : _embedder is not null && (string.IsNullOrEmpty(asked) || asked == _embedder.ModelId))
            return _embedder!.Loaded is { IsAlive: true } engine ? engine : throw new ApiException(WhyNot(_embedder));
        // Without an embedding model no name is right.
        if (IsEncoder || !IsName(asked))
            throw new ApiException(ApiError.ModelNotFound(asked!, _embedder is null || IsEncoder ? Names : [_embedder.ModelId]));
        throw new ApiException(ApiError.ModelNotSupported(
            $"'{(string.IsNullOrEmpty(asked) ? Names[0] : asked)}' generates text and makes no embeddings or scores; it answers /v1/chat/completions and /v1/completions. "
            + (_embedder is null ? "To embed, rerank or score, serve an embedding model (--embedding-model)." : $"Use '{_embedder.ModelId}' here.")));
    }

    /// <summary>The tokenizer of a model; after <see cref="RequireUsable"/>.</summary>
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
            return ("shutting_down", "The server is shutting down and takes no more requests.", null, null);
        if (_first.Failure is not null)
            return ("load_failed", "The model could not be loaded; the server's log says why.", null, null);
        if (IsBesideDead)
            return (EngineDead, EmbedderDead, null, null);
        if (_first.IsLoaded)
            return (EngineDead, "The engine has failed; the server must be restarted.", null, null);
        var progress = _first.Progress;
        double? percent = progress.BytesTotal > 0 ? Math.Round(100.0 * progress.BytesDone / progress.BytesTotal, 1) : null;
        var share = percent is { } known ? string.Create(CultureInfo.InvariantCulture, $", {known:F1} %") : "";
        return ("model_loading", $"The model is not loaded yet: {progress.Phase}{share}. Try again later.", progress.Phase, percent);
    }

    // It is not alive: it loads, could not be loaded, has failed, or was stopped with the server.
    private static ApiError WhyNot(IModelHost embedder) => embedder switch
    {
        { Failure: not null } => ApiError.Unavailable("The embedding model could not be loaded; the server must be started with another one.", "load_failed"),
        { HasFailed: true } => ApiError.Unavailable(EmbedderDead, EngineDead),
        { IsLoaded: true } => ApiError.Unavailable("The server is shutting down and takes no more requests.", "shutting_down"),
        _ => ApiError.Unavailable("The embedding model is not loaded yet. Try again later.", "model_loading"),
    };

    /// <summary>Most sequences that may run or wait.</summary>
    public int MaxSequences => (_generator?.Loaded?.MaxNumSeqs ?? EmbeddingsAtOnce) + _options.MaxQueuedSequences;
}
