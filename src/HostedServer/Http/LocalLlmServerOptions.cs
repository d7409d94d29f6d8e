namespace LocalLlm.Server;

/// <summary>What <c>AddLocalLlmServer</c> configures, also from the configuration section <c>LocalLlm:Server</c>.</summary>
public sealed class LocalLlmServerOptions
{
    /// <summary>The configuration section.</summary>
    public const string SectionName = "LocalLlm:Server";

    /// <summary>
    /// Keys of which a client must send one (<c>Authorization: Bearer KEY</c>), on every route but <c>/health</c> and <c>/ready</c>. Empty:
    /// anybody may call.
    /// </summary>
    public IList<string> ApiKeys { get; set; } = [];

    /// <summary>Further names that requests may call the model.</summary>
    public IList<string> ModelAliases { get; set; } = [];

    /// <summary>
    /// How much each kind of score counts in <c>/rerank</c> and <c>/score</c>, as far as the model makes it and a request says nothing
    /// else; null: bge-m3's own, <see cref="HybridWeights.Default"/>.
    /// </summary>
    public HybridWeights? ScoreWeights { get; set; }

    /// <summary>Longest body of a request in bytes.</summary>
    public long MaxRequestBodyBytes { get; set; } = 8 << 20;

    /// <summary>How long a body may take to arrive.</summary>
    public TimeSpan RequestBodyTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Sequences that may wait beside those that run; a request beyond that is answered 429.</summary>
    public int MaxQueuedSequences { get; set; } = 512;

    /// <summary>How long a client may leave a streamed answer unread before its connection and its request are given up.</summary>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Most events that all streamed answers together are sent in a second, first and last ones apart; where more tokens are made, events
    /// carry several, at most 50 ms late. Null: 500 for each of the machine's cores. 0: one for every token.
    /// </summary>
    public int? MaxEventsPerSecond { get; set; }

    /// <summary>How long the host's shutdown lets running requests finish; zero: they are ended at once.</summary>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a server whose engine has failed still answers (503, <c>engine_dead</c>) before it stops the application.
    /// </summary>
    public TimeSpan AnswersAfterFailure { get; set; }

    /// <summary>Within how long a token must have been made for <c>/ready</c> to say so.</summary>
    public TimeSpan ReadyWithin { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The role of answers.</summary>
    public string ResponseRole { get; set; } = "assistant";

    /// <summary>
    /// Variables of the chat template for requests that do not set them, as a JSON object such as <c>{"enable_thinking": false}</c>; null:
    /// none.
    /// </summary>
    public string? DefaultChatTemplateKwargs { get; set; }

    /// <summary>Whether answers carry <c>X-Request-Id</c>, the client's own where it sent one.</summary>
    public bool EnableRequestIdHeaders { get; set; }

    /// <summary>Whether every streamed answer ends with its usage, asked for or not.</summary>
    public bool ForceIncludeUsage { get; set; }
}
