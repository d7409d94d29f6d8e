using System.CommandLine;
using LocalLlm.Server;
using LocalLlm.Tool.Arguments;
using LocalLlm.Tool.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace LocalLlm.Tool.Commands;

/// <summary><c>localllm serve</c>: the engine behind OpenAI's HTTP API.</summary>
internal static class ServeCommand
{
    /// <summary>The command's name.</summary>
    public const string Name = "serve";

    // Long enough for callers and probes to learn that the engine has failed; the supervisor waits for the process to end.
    private static readonly TimeSpan AnswersAfterFailure = TimeSpan.FromSeconds(2);

    /// <summary>Builds the command.</summary>
    public static Command Create(Terminal terminal)
    {
        var engineArguments = new EngineArguments(severalNames: true, ModelKinds.Generators | ModelKinds.Encoders);
        var serverArguments = new ServerArguments();
        var model = Options.Model();
        var command = new Command(Name, "Serves the model to OpenAI's clients over HTTP.") { model };
        engineArguments.AddTo(command);
        serverArguments.AddTo(command);
        var clusterArguments = new ClusterArguments();
        clusterArguments.AddTo(command);
        VllmOptions.AddTo(command);
        command.SetAction(async (result, cancellationToken) =>
        {
            var engine = serverArguments.Complete(engineArguments.Build(result, result.GetValue(model)), result) with { HubVariables = terminal.Variable };
            (engine, var role) = clusterArguments.Complete(engine, result, terminal.Variable);
            if (role == ServeRole.Server && RankProcess.Find(terminal.Variable) is not null)
                FrontEnd.LeaveSession();
            // Everything that can be refused is refused before anything is loaded or listens.
            if (Directory.Exists(engine.ModelPath) && await ModelSource.IsEncoderAsync(engine, cancellationToken))
                RefuseOptionsOfGenerators(result, [.. engineArguments.OfGenerators, .. serverArguments.OfGenerators], engine.ModelPath);
            EngineOptionsValidator.Validate(engine);
            engine = ModelSource.Local(engine);
            if (role != ServeRole.Server)
                return await NodeServing.RunAsync(engine, role, terminal, cancellationToken);
            var listen = serverArguments.Listen(result);
            serverArguments.Configure(new(), result);
            Listener.Check(listen);
            var names = engineArguments.ServedModelNames(result);
            CheckNames(names, listen.EmbeddingModel);
            var isEncoder = await ModelSource.IsEncoderAsync(engine, cancellationToken);
            VllmOptions.CheckTask(result, isEncoder, engine.ModelPath);
            if (isEncoder)
            {
                RefuseOptionsOfGenerators(result, [.. engineArguments.OfGenerators, .. serverArguments.OfGenerators], engine.ModelPath);
                listen = listen with { IsEncoder = true };
            }
            else
            {
                serverArguments.CheckWeights(result);
                await CheckEmbeddingModelAsync(engine, listen.EmbeddingModel, cancellationToken);
            }

            EngineOptionsValidator.CheckFit(engine);
            await using var app = HttpServer.Create(engine, listen, options =>
            {
                serverArguments.Configure(options, result);
                options.AnswersAfterFailure = AnswersAfterFailure;
                options.ModelAliases = [.. names.Skip(1)];
            });
            return await RunAsync(app, terminal, cancellationToken);
        });
        return command;
    }

    private static void CheckNames(IReadOnlyList<string> names, string? embeddingModel)
    {
        if (names.FirstOrDefault(name => string.IsNullOrWhiteSpace(name) || name.Any(char.IsControl)) is not null)
            throw new UsageException("--served-model-name: a name is empty or has control characters; give names that clients can send");
        var embedder = string.IsNullOrWhiteSpace(embeddingModel) ? null : LlmEngine.NameOf(new() { ModelPath = embeddingModel });
        if (embedder is not null && names.Contains(embedder))
            throw new UsageException($"--served-model-name: '{embedder}' is the name of the embedding model; choose another");
    }

    private static void RefuseOptionsOfGenerators(ParseResult result, IReadOnlyList<Option> options, string model)
    {
        // A --no- flag asks an encoder for nothing, so it is not refused.
        string[] given = [.. options.Where(option => !option.Name.StartsWith("--no-", StringComparison.Ordinal) && result.GetResult(option) is { Implicit: false }).Select(option => option.Name)];
        if (given.Length > 0)
            throw new UsageException($"{string.Join(", ", given)}: {model} is an encoder, which embeds texts and generates none; remove {(given.Length == 1 ? "it" : "them")}");
    }

    // The server itself would run without this model; on the command line a mistake is an error before it starts.
    private static async Task CheckEmbeddingModelAsync(EngineOptions engine, string? model, CancellationToken cancellationToken)
    {
        if (model is null)
            return;
        var options = new EngineOptions { ModelPath = model, Hub = engine.Hub, DownloadDir = engine.DownloadDir, HubVariables = engine.HubVariables };
        try
        {
            EngineOptionsValidator.Validate(options);
        }
        catch (EngineException failure)
        {
            throw new UsageException($"--embedding-model: {failure.Message}");
        }

        if (!await ModelSource.IsEncoderAsync(options, cancellationToken))
            throw new UsageException($"--embedding-model: {model} is no embedding model that this program knows; name one, such as bge-m3, or leave it out");
        if (LlmEngine.NameOf(options) == LlmEngine.NameOf(engine))
            throw new UsageException($"--embedding-model: both models are called '{LlmEngine.NameOf(engine)}', so that requests could not tell them apart; name the other one with --served-model-name");
    }

    private static async Task<int> RunAsync(WebApplication app, Terminal terminal, CancellationToken cancellationToken)
    {
        var server = app.Services.GetRequiredService<LocalLlmServerLifetime>();
        using var signals = new SecondSignal(() => Hurry(server));
        // A server that has failed must end, even if something in it hangs.
        using var stopping = app.Lifetime.ApplicationStopping.Register(() =>
        {
            if (server.Failure is EngineException { Kind: EngineErrorKind.EngineDead })
                HardExit.Arm();
        });
        try
        {
            await app.StartAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (server.Failure is not null)
        {
            // The server was stopped before it had started.
            throw server.Failure;
        }

        foreach (var address in app.Urls)
            await terminal.ErrorText.WriteLineAsync($"listening on {address}");
        if (app.Services.GetRequiredService<Microsoft.Extensions.Options.IOptions<LocalLlmServerOptions>>().Value.ApiKeys.Count == 0)
            await terminal.ErrorText.WriteLineAsync("note: no --api-key is set; whoever reaches this address may use the model");
        await terminal.ErrorText.FlushAsync(CancellationToken.None);
        try
        {
            await app.WaitForShutdownAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (app.Lifetime.ApplicationStopping.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // Something took longer than the host waits; it ends with the process.
        }

        return server.Failure is { } failure ? throw failure : ExitCodes.Success;
    }

    // The second signal ends the responses, and clients still receive the reason; the next one closes the connections.
    private static void Hurry(LocalLlmServerLifetime server)
    {
        if (server.HasEndedRequests)
            server.EndConnections();
        server.EndRequests();
    }
}
