namespace LocalLlm.Server;

/// <summary>Options of <c>AddLocalLlmServer</c>, also read from the configuration section <c>LocalLlm:Server</c>.</summary>
public sealed class LocalLlmServerOptions
{
    /// <summary>The configuration section.</summary>
    public const string SectionName = "LocalLlm:Server";

    /// <summary>
    /// API keys. A client must send one of them (<c>Authorization: Bearer KEY</c>) on every route but <c>/health</c> and <c>/ready</c>.
    /// Empty: anyone may call.
    /// </summary>
    public IList<string> ApiKeys { get; set; } = [];

    /// <summary>Further names that requests may use for the model.</summary>
    public IList<string> ModelAliases { get; set; } = [];

    /// <summary>
    /// The weight of each kind of score in <c>/rerank</c> and <c>/score</c>, for the kinds that the model has and unless a request sets its
    /// own weights; null: bge-m3's weights, <see cref="HybridWeights.Default"/>.
    /// </summary>
    public HybridWeights? ScoreWeights { get; set; }

    /// <summary>Maximum size of a request's body in bytes.</summary>
    public long MaxRequestBodyBytes { get; set; } = 8 << 20;

    /// <summary>Maximum time for a body to arrive.</summary>
    public TimeSpan RequestBodyTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Maximum number of waiting sequences, besides the running ones; further requests get status 429.</summary>
    public int MaxQueuedSequences { get; set; } = 512;

    /// <summary>How long a client may leave a streamed response unread before its connection is closed and its request ended.</summary>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Maximum number of events per second over all streamed responses, not counting first and last events. At higher token rates, an event
    /// carries several tokens, which are at most 50 ms late. Null: 500 for each core of the machine. 0: one event for every token.
    /// </summary>
    public int? MaxEventsPerSecond { get; set; }

    /// <summary>How long the host's shutdown lets running requests finish; zero: ends them at once.</summary>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// After its engine has failed: how long the server still responds (503, <c>engine_dead</c>) before it stops the application.
    /// </summary>
    public TimeSpan AnswersAfterFailure { get; set; }

    /// <summary>How recent the last token must be for <c>/ready</c> to report ready.</summary>
    public TimeSpan ReadyWithin { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The role of responses.</summary>
    public string ResponseRole { get; set; } = "assistant";

    /// <summary>
    /// Default variables of the chat template, as a JSON object such as <c>{"enable_thinking": false}</c>; a request's own values override
    /// them. Null: none.
    /// </summary>
    public string? DefaultChatTemplateKwargs { get; set; }

    /// <summary>Whether responses carry <c>X-Request-Id</c>, the client's own if it sent one.</summary>
    public bool EnableRequestIdHeaders { get; set; }

    /// <summary>Whether every streamed response ends with its usage, even if the request did not ask for it.</summary>
    public bool ForceIncludeUsage { get; set; }
}
