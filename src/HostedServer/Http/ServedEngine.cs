using System.Globalization;
using LocalLlm.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Server.Http;

/// <summary>The engines as requests see them: a model that generates, one that embeds, or both; there, or not yet, or no more.</summary>
internal sealed class ServedEngine
{
    private const string NotSupported = "model_not_supported";
    private const string EngineDead = "engine_dead";
    private const string EmbedderDead = "The engine of the embedding model has failed; the server must be restarted.";

    private readonly EngineHost? _generator;
    private readonly EmbeddingHost? _embedder;
    private readonly IModelHost _first;
    private readonly LocalLlmServerOptions _options;
    private readonly Admission _admission;

    /// <param name="services">Who loads them.</param>
    /// <param name="options">Further names of the model.</param>
    /// <param name="admission">Closed while the server drains.</param>
    /// <param name="time">The clock.</param>
    public ServedEngine(IServiceProvider services, LocalLlmServerOptions options, Admission admission, TimeProvider time)
    {
        (_generator, _embedder) = (services.GetService<EngineHost>(), services.GetService<EmbeddingHost>());
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

    /// <summary>Whether only a restart helps: the model could not be loaded, or an engine has failed, be it that of a model beside it. One beside it that could not be loaded is done without.</summary>
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
    /// <exception cref="ApiException">503: the model loads (phase and percentage are told), drains, or has failed.</exception>
    public void RequireUsable()
    {
        if (!IsUsable)
            throw new ApiException(ApiError.Unavailable(Explain().Message, Explain().Code));
    }

    /// <summary>The engine that generates.</summary>
    /// <exception cref="ApiException">503: it loads (phase and percentage are told), drains, or has failed. 400: the server only embeds.</exception>
    public LlmEngine Require()
    {
        RequireUsable();
        return _generator?.Loaded ?? throw new ApiException(ApiError.Invalid(
            $"The model '{Names[0]}' makes embeddings and generates no text; call /v1/embeddings, /rerank or /score, or serve a model that generates.", "model", NotSupported));
    }

    /// <summary>The engine that embeds; after <see cref="RequireUsable"/>.</summary>
    /// <param name="model">The model that the request names, or null.</param>
    /// <exception cref="ApiException">503: it is not there. 404: the model is not served. 400: it makes no embeddings.</exception>
    public EmbeddingEngine RequireEmbedder(string? model)
    {
        var isNamed = _embedder is not null && !IsEncoder && (string.IsNullOrEmpty(model) || model == _embedder.ModelId);
        if (!isNamed)
            CheckModel(model);
        if (isNamed || IsEncoder)
        {
            return _embedder!.Loaded is { IsAlive: true } engine ? engine : throw new ApiException(WhyNot(_embedder));
        }

        throw new ApiException(ApiError.Invalid(
            $"The model '{Names[0]}' generates text and makes no embeddings; {(_embedder is null ? "serve an embedding model (--embedding-model), or call /v1/chat/completions." : $"the one that does is '{_embedder.ModelId}'.")}",
            "model",
            NotSupported));
    }

    /// <summary>The tokenizer of a model; after <see cref="RequireUsable"/>.</summary>
    /// <param name="model">The model that the request names; null: <see cref="First"/>.</param>
    /// <exception cref="ApiException">404: the model is not served. 400: the server runs without a tokenizer.</exception>
    public ServedTokenizer RequireTokenizer(string? model)
    {
        if (IsEncoder || (_embedder is not null && model == _embedder.ModelId))
            return ServedTokenizer.Of(RequireEmbedder(model));
        CheckModel(model);
        return ServedTokenizer.Of(Require());
    }

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
    private static ApiError WhyNot(EmbeddingHost embedder) => embedder switch
    {
        { Failure: not null } => ApiError.Unavailable("The embedding model could not be loaded; the server must be started with another one.", "load_failed"),
        { HasFailed: true } => ApiError.Unavailable(EmbedderDead, EngineDead),
        { IsLoaded: true } => ApiError.Unavailable("The server is shutting down and takes no more requests.", "shutting_down"),
        _ => ApiError.Unavailable("The embedding model is not loaded yet. Try again later.", "model_loading"),
    };

    /// <exception cref="ApiException">404: the model is not served.</exception>
    public void CheckModel(string? asked)
    {
        if (!string.IsNullOrEmpty(asked) && !Names.Contains(asked, StringComparer.Ordinal))
            throw new ApiException(ApiError.ModelNotFound(asked, Names.Concat(_embedder is null || IsEncoder ? [] : [_embedder.ModelId])));
    }

    /// <summary>Most sequences that may run or wait.</summary>
    public int MostSequences
    {
        get
        {
            var running = EngineOptionsDefaults.MaxNumSeqs;
            if (_generator?.Loaded?.Options is { } generator)
                running = Math.Min(generator.MaxNumSeqs ?? running, generator.MaxNumBatchedTokens ?? EngineOptionsDefaults.MaxNumBatchedTokens);
            return running + _options.MaxQueuedSequences;
        }
    }
}
