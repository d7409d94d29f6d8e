using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Server;
using LocalLlm.Tool.Serving;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace LocalLlm.Tool.Arguments;

/// <summary>The options of <c>serve</c> beyond the engine's, with the names of <c>vllm serve</c>.</summary>
internal sealed class ServerArguments
{
    private const int DefaultPort = 8000;
    private const string ListHelp = "LIST";

    private readonly Option<string?> _host = Options.Text("--host", "The address to listen on; default: all.", "ADDRESS");
    private readonly Option<int?> _port = Options.Count("--port", $"The port to listen on; default {DefaultPort}; 0: any free one.");
    private readonly Option<string?> _uds = Options.Text("--uds", "Listens on this Unix socket instead.", "FILE");
    private readonly Option<string?> _rootPath = Options.Text("--root-path", "What a proxy puts before every path, such as /llm.", "PATH");
    private readonly Option<string[]> _apiKeys = Repeatable("--api-key", "An API key; a client must send one of the given keys; repeatable; also LOCALLLM_API_KEY. /health and /ready need none.", "KEY");
    private readonly Option<string?> _sslCertFile = Options.Text("--ssl-certfile", "Serves HTTPS with this certificate (PEM).", "FILE");
    private readonly Option<string?> _sslKeyFile = Options.Text("--ssl-keyfile", "The certificate's private key (PEM).", "FILE");
    private readonly Option<string?> _sslCaCerts = Options.Text("--ssl-ca-certs", "The authorities (PEM) that sign clients' certificates.", "FILE");
    private readonly Option<ClientCertificateMode?> _sslCertReqs = Options.Choice(
        "--ssl-cert-reqs",
        "Whether clients must have a certificate, as Python's ssl counts; default 0.",
        ("0", ClientCertificateMode.NoCertificate),
        ("1", ClientCertificateMode.AllowCertificate),
        ("2", ClientCertificateMode.RequireCertificate));

    private readonly Option<string[]> _allowedOrigins = List("--allowed-origins", "Web sites whose pages may call the server, as a JSON list; default [\"*\"].");
    private readonly Option<string[]> _allowedMethods = List("--allowed-methods", "The methods that they may use; default [\"*\"].");
    private readonly Option<string[]> _allowedHeaders = List("--allowed-headers", "The headers that they may send; default [\"*\"].");
    private readonly Option<bool> _allowCredentials = Options.Flag("--allow-credentials", "Lets their pages send cookies and passwords; needs --allowed-origins without \"*\".");
    private readonly Option<string?> _reasoningParser = Options.Text("--reasoning-parser", "Tells thought from answer: auto (default), none, deepseek_r1, deepseek_v3 or qwen3.", "NAME");
    private readonly Option<string?> _toolCallParser = Options.Text("--tool-call-parser", "How the model calls tools: auto (default), deepseek_v3, deepseek_v31, hermes or llama3_json.", "NAME");
    private readonly Option<bool> _autoToolChoice = Options.Flag("--enable-auto-tool-choice", "Lets the model choose tools; always on here, accepted for scripts.");
    private readonly Option<string?> _defaultKwargs = Options.Text("--default-chat-template-kwargs", "Template variables for requests that do not set them, such as '{\"enable_thinking\": false}'.", "JSON");
    private readonly Option<string?> _responseRole = Options.Text("--response-role", "The role of answers; default assistant.", "ROLE");
    private readonly Option<bool> _requestIds = Options.Flag("--enable-request-id-headers", "Sends X-Request-Id, the client's own where it sent one.");
    private readonly Option<bool> _forceUsage = Options.Flag("--enable-force-include-usage", "Ends every stream with its usage.");
    private readonly Option<bool> _promptTokensDetails = Options.Flag("--enable-prompt-tokens-details", "Sends how many prompt tokens were cached; always on here, accepted for scripts.");
    private readonly Option<double?> _shutdownTimeout = Options.Number("--shutdown-timeout", "Seconds that running requests may take after SIGTERM; default 30; 0: they end at once.");
    private readonly Option<int?> _maxQueued = Options.Count("--max-waiting-seqs", "Most sequences that wait; one more is answered 429; default 512. (Not an option of vLLM's.)");
    private readonly Option<long?> _maxBody = Options.Size("--max-request-bytes", "Longest body of a request; default 8M. (Not an option of vLLM's.)", "SIZE");
    private readonly Option<double?> _stallTimeout = Options.Number("--stall-timeout", "Seconds after which a client that does not read its stream is dropped; default 5. (Not an option of vLLM's.)");
    private readonly Option<int?> _maxEvents = Options.Count("--max-stream-events", "Most events a second of all streams together; with more tokens each carries several; default 500 for each core; 0: one a token. (Not an option of vLLM's.)");
    private readonly Option<string?> _embeddingModel = Options.Text("--embedding-model", "An embedding model (bge-m3) for /v1/embeddings beside the other one: a folder or org/name. (Not an option of vLLM's.)", "DIR|ORG/NAME");
    private readonly Option<string?> _scoreWeights = Options.Text("--score-weights", "How much dense, sparse and multi-vector scores count in /rerank and /score; default 0.4,0.2,0.4. (Not an option of vLLM's.)", "X,X,X");
    private readonly Option<bool> _noPage = Options.Flag("--disable-page", "Serves no page at /. (Not an option of vLLM's.)");

    /// <summary>Adds every option to <paramref name="command"/>.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in new Option[]
        {
            _host, _port, _uds, _rootPath, _apiKeys, _sslCertFile, _sslKeyFile, _sslCaCerts, _sslCertReqs, _allowedOrigins, _allowedMethods, _allowedHeaders, _allowCredentials,
            _reasoningParser, _toolCallParser, _autoToolChoice, _defaultKwargs, _responseRole, _requestIds, _forceUsage, _promptTokensDetails, _shutdownTimeout, _maxQueued, _maxBody, _stallTimeout, _maxEvents, _embeddingModel, _scoreWeights, _noPage,
        })
        {
            command.Add(option);
        }
    }

    /// <summary>The options that mean nothing to an encoder, which embeds texts and generates none.</summary>
    public IEnumerable<Option> OfGenerators => [_reasoningParser, _toolCallParser, _autoToolChoice, _defaultKwargs, _responseRole, _forceUsage, _promptTokensDetails, _maxEvents, _embeddingModel];

    /// <summary>Adds the two parsers to the engine's options.</summary>
    public EngineOptions Complete(EngineOptions engine, ParseResult result) => engine with
    {
        ReasoningParser = result.GetValue(_reasoningParser) ?? engine.ReasoningParser,
        ToolCallParser = result.GetValue(_toolCallParser) ?? engine.ToolCallParser,
    };

    /// <summary>Where and how to listen.</summary>
    /// <exception cref="UsageException">A value is out of range, or two contradict each other.</exception>
    public ListenSettings Listen(ParseResult result)
    {
        var port = result.GetValue(_port) ?? DefaultPort;
        if (port is < 0 or > 65535)
            throw new UsageException($"--port: {port} is no port; use 0 to 65535");
        var (certificate, key, authorities) = (result.GetValue(_sslCertFile), result.GetValue(_sslKeyFile), result.GetValue(_sslCaCerts));
        if (certificate is null && (key ?? authorities) is not null)
            throw new UsageException("--ssl-keyfile and --ssl-ca-certs need --ssl-certfile");
        var origins = Values(result, _allowedOrigins);
        if (result.GetValue(_allowCredentials) && origins.Contains("*"))
            throw new UsageException("--allow-credentials would let every web site act for a user; name the sites with --allowed-origins '[\"https://…\"]'");
        var rootPath = result.GetValue(_rootPath) ?? "";
        if (rootPath.Length > 0 && rootPath[0] != '/')
            throw new UsageException($"--root-path: '{rootPath}' does not begin with /");
        return new()
        {
            Host = result.GetValue(_host),
            Port = port,
            UnixSocket = result.GetValue(_uds),
            RootPath = rootPath.TrimEnd('/'),
            CertificateFile = certificate,
            KeyFile = key,
            AuthoritiesFile = authorities,
            ClientCertificates = result.GetValue(_sslCertReqs) ?? ClientCertificateMode.NoCertificate,
            AllowedOrigins = origins,
            AllowedMethods = Values(result, _allowedMethods),
            AllowedHeaders = Values(result, _allowedHeaders),
            AllowCredentials = result.GetValue(_allowCredentials),
            EmbeddingModel = result.GetValue(_embeddingModel),
            HasPage = !result.GetValue(_noPage),
        };
    }

    /// <summary>Refuses given options that would have no effect.</summary>
    /// <exception cref="UsageException">Weights of scores were given without a model that computes scores.</exception>
    public void CheckWeights(ParseResult result)
    {
        if (result.GetValue(_scoreWeights) is not null && result.GetValue(_embeddingModel) is null)
            throw new UsageException("--score-weights: the model generates text and scores none; add --embedding-model, or serve an embedding model");
    }

    /// <summary>Applies the given options to the server's options.</summary>
    /// <exception cref="UsageException">A value is out of range.</exception>
    public void Configure(LocalLlmServerOptions options, ParseResult result)
    {
        foreach (var key in result.GetValue(_apiKeys) ?? [])
            options.ApiKeys.Add(IsHeaderText(key) ? key : throw new UsageException("--api-key: a key is empty or has characters beyond printable ASCII; choose another"));
        options.DefaultChatTemplateKwargs = Kwargs(result.GetValue(_defaultKwargs)) ?? options.DefaultChatTemplateKwargs;
        options.ScoreWeights = Weights(result.GetValue(_scoreWeights)) ?? options.ScoreWeights;
        if (result.GetValue(_responseRole) is { } role)
            options.ResponseRole = !string.IsNullOrWhiteSpace(role) ? role : throw new UsageException("--response-role: is empty; give a role, such as assistant");
        options.EnableRequestIdHeaders |= result.GetValue(_requestIds);
        options.ForceIncludeUsage |= result.GetValue(_forceUsage);
        options.ShutdownTimeout = Seconds(result, _shutdownTimeout, least: 0) ?? options.ShutdownTimeout;
        options.StallTimeout = Seconds(result, _stallTimeout, least: 0.1) ?? options.StallTimeout;
        options.MaxQueuedSequences = AtLeast(result.GetValue(_maxQueued), 0, "--max-waiting-seqs") ?? options.MaxQueuedSequences;
        options.MaxEventsPerSecond = AtLeast(result.GetValue(_maxEvents), 0, "--max-stream-events") ?? options.MaxEventsPerSecond;
        options.MaxRequestBodyBytes = AtLeast(result.GetValue(_maxBody), 1024, "--max-request-bytes") ?? options.MaxRequestBodyBytes;
    }

    private static bool IsHeaderText(string key) => key.Length > 0 && key.All(character => character is > ' ' and <= '~');

    private static string? Kwargs(string? json)
    {
        if (json is null)
            return null;
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                return json;
        }
        catch (JsonException)
        {
            // The error is thrown below.
        }

        throw new UsageException($"--default-chat-template-kwargs: '{RequestErrors.Printable(json)}' is no JSON object of template variables");
    }

    private static HybridWeights? Weights(string? text)
    {
        if (text is null)
            return null;
        var weights = text.Split(',').Select(part => double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out var weight) ? weight : double.NaN).ToArray();
        try
        {
            return weights is [var dense, var sparse, var multiVector] ? new(dense, sparse, multiVector) : throw new ArgumentOutOfRangeException(nameof(text));
        }
        catch (ArgumentOutOfRangeException)
        {
            throw new UsageException($"--score-weights: '{text}' is no weights; give three numbers of 0 or more, one of them above 0: dense, sparse and multi-vector, such as 0.4,0.2,0.4");
        }
    }

    private static Option<string[]> Repeatable(string name, string description, string helpName) => new(name) { Description = description, HelpName = helpName, AllowMultipleArgumentsPerToken = true };

    private static Option<string[]> List(string name, string description) => new(name)
    {
        Description = description,
        HelpName = ListHelp,
        CustomParser = result =>
        {
            var values = new List<string>();
            foreach (var text in result.Tokens.Select(token => token.Value))
            {
                if (Parse(text) is { } list)
                    values.AddRange(list);
                else
                    result.AddError($"{name}: '{text}' is no JSON list of texts; write it as {name} '[\"{(text.StartsWith('[') ? "*" : text)}\"]'.");
            }

            return [.. values];
        },
    };

    /// <summary>Whether the value of an option is a list, written as JSON.</summary>
    public static bool IsList(Option option) => option.HelpName == ListHelp;

    private static string[]? Parse(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<string[]>(json) is { } list && !list.Contains(null) ? list : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string[] Values(ParseResult result, Option<string[]> option) => result.GetValue(option) is { Length: > 0 } given ? given : ["*"];

    private static TimeSpan? Seconds(ParseResult result, Option<double?> option, double least)
    {
        const double most = 24 * 60 * 60;
        if (result.GetValue(option) is not { } seconds)
            return null;
        return seconds >= least && seconds <= most ? TimeSpan.FromSeconds(seconds) : throw new UsageException(FormattableString.Invariant($"{option.Name}: {seconds} is out of range; use {least} to {most} seconds"));
    }

    private static T? AtLeast<T>(T? value, T least, string name)
        where T : struct, IComparable<T> =>
        value is { } given && given.CompareTo(least) < 0 ? throw new UsageException($"{name}: {given} is too small; use at least {least}") : value;
}
