using LocalLlm.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Cors.Infrastructure;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace LocalLlm.Tool.Serving;

/// <summary>The web application of <c>localllm serve</c>.</summary>
internal static class HttpServer
{
    /// <summary>Builds it; the caller runs and disposes it.</summary>
    /// <param name="engine">What is loaded.</param>
    /// <param name="listen">Where it listens.</param>
    /// <param name="configure">The server's own options.</param>
    /// <exception cref="UsageException">A certificate or address that cannot be used.</exception>
    public static WebApplication Create(EngineOptions engine, ListenSettings listen, Action<LocalLlmServerOptions> configure)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = typeof(HttpServer).Assembly.GetName().Name });
        AddLogging(builder.Logging);
        AddModels(builder.Services, engine, listen);
        builder.Services.AddLocalLlmServer(configure);
        builder.Services.AddCors(cors => cors.AddDefaultPolicy(policy => Allow(policy, listen)));
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureLocalLlmKestrel();
        builder.WebHost.ConfigureKestrel((_, kestrel) => Listener.Listen(kestrel, listen));
        var app = builder.Build();
        if (listen.RootPath.Length > 0)
            app.UsePathBase(listen.RootPath);
        app.UseLocalLlmErrors();
        app.UseRouting();
        app.UseCors();
        app.MapLocalLlmOpenAI();
        app.MapLocalLlmOperations();
        // The page chats.
        if (listen.HasPage && !listen.IsEncoder)
            app.MapLocalLlmPage();
        return app;
    }

    private static void AddModels(IServiceCollection services, EngineOptions engine, ListenSettings listen)
    {
        if (listen.IsEncoder)
        {
            services.AddLocalLlmEmbeddings(options => options.ConfigureEngine = _ => engine);
            return;
        }

        services.AddLocalLlm(options =>
        {
            options.ModelPath = engine.ModelPath;
            options.ModelId = engine.ServedModelName;
            options.ConfigureEngine = _ => engine;
        });
        if (listen.EmbeddingModel is not { } embeddings)
            return;
        services.AddLocalLlmEmbeddings(options =>
        {
            options.ModelPath = embeddings;
            options.Device = engine.Device;
            options.ConfigureEngine = own => own with { Hub = engine.Hub, DownloadDir = engine.DownloadDir, LibTorchPath = engine.LibTorchPath, NumThreads = engine.NumThreads };
        });
    }

    /// <summary>Logs to standard error, a line each.</summary>
    public static void AddLogging(ILoggingBuilder logging)
    {
        logging.ClearProviders();
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.ColorBehavior = LoggerColorBehavior.Default;
            console.TimestampFormat = "HH:mm:ss ";
        });
        // Standard output belongs to answers.
        logging.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // There it logs as errors, with stacks, what clients do wrong (bodies that end in the middle, trailers that are none) and nobody
        // here can mend. What is the server's own fault, UseLocalLlmErrors logs.
        logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Critical);
        // What keeps the program from starting is its last line.
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
    }

    private static void Allow(CorsPolicyBuilder policy, ListenSettings listen)
    {
        policy.WithOrigins([.. listen.AllowedOrigins]).WithMethods([.. listen.AllowedMethods]).WithHeaders([.. listen.AllowedHeaders]);
        if (listen.AllowCredentials)
            policy.AllowCredentials();
    }
}
