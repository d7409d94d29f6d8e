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
    /// <summary>Builds the application; the caller runs and disposes it.</summary>
    /// <param name="engine">The options of the engine to load.</param>
    /// <param name="listen">Where it listens.</param>
    /// <param name="configure">The server's own options.</param>
    /// <exception cref="UsageException">A certificate or an address cannot be used.</exception>
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
        // The page is a chat, so an encoder has none.
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

    /// <summary>Logs to standard error, one line per message.</summary>
    public static void AddLogging(ILoggingBuilder logging)
    {
        logging.ClearProviders();
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.ColorBehavior = LoggerColorBehavior.Default;
            console.TimestampFormat = "HH:mm:ss ";
        });
        // Standard output is reserved for answers.
        logging.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // Kestrel logs mistakes of clients there as errors with stack traces (truncated bodies, invalid trailers), which nobody
        // here can fix. UseLocalLlmErrors logs the server's own errors.
        logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Critical);
        // The program itself writes the error that keeps it from starting, as its last line.
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
    }

    private static void Allow(CorsPolicyBuilder policy, ListenSettings listen)
    {
        policy.WithOrigins([.. listen.AllowedOrigins]).WithMethods([.. listen.AllowedMethods]).WithHeaders([.. listen.AllowedHeaders]);
        if (listen.AllowCredentials)
            policy.AllowCredentials();
    }
}
