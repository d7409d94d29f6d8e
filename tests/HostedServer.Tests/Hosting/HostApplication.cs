using System.Security.Claims;
using System.Text.Encodings.Web;
using LocalLlm.Extensions.AI;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace LocalLlm.Server.Tests.Hosting;

/// <summary>A third party's application that serves the tiny model among other things.</summary>
internal sealed class HostApplication : IAsyncDisposable
{
    private readonly WebApplication _app;

    private HostApplication(WebApplication app) => (_app, Client) = (app, new() { BaseAddress = new(app.Urls.First()) });

    public HttpClient Client { get; }

    public IServiceProvider Services => _app.Services;

    /// <summary>Starts an application; the model is loaded when the method returns.</summary>
    /// <param name="add">Adds the application's own services.</param>
    /// <param name="map">Adds its middleware and maps its routes.</param>
    /// <param name="cancellationToken">Cancels the start.</param>
    public static async Task<HostApplication> StartAsync(Action<IServiceCollection> add, Action<WebApplication> map, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddLocalLlm(options => (options.ModelPath, options.Device) = (TestPaths.TinyR1, "cpu"));
        builder.Services.AddLocalLlmServer();
        add(builder.Services);
        var app = builder.Build();
        map(app);
        await app.StartAsync(cancellationToken);
        await app.Services.GetRequiredService<IModelHost<LlmEngine>>().GetAsync(cancellationToken);
        return new(app);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }
}

/// <summary>The application's own authentication: the caller is whoever the header <c>X-Name</c> names.</summary>
internal sealed class NameHandler(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string SchemeName = "Name";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync() => Task.FromResult(Request.Headers["X-Name"] is [{ } name]
        ? AuthenticateResult.Success(new(new(new ClaimsIdentity([new(ClaimTypes.Name, name)], SchemeName)), SchemeName))
        : AuthenticateResult.NoResult());
}
