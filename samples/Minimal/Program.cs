using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddLocalLlm(); // the section LocalLlm names the model
builder.Services.AddLocalLlmServer();
builder.Services.AddAuthentication("House").AddScheme<AuthenticationSchemeOptions, HouseKey>("House", null);
builder.Services.AddAuthorization();

var app = builder.Build();
app.UseAuthentication();
app.UseAuthorization();
app.MapLocalLlmOpenAI("/v1").RequireAuthorization();
app.Run();

// The application's own authentication: a caller needs the house key.
internal sealed class HouseKey(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, IConfiguration configuration)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var wanted = Encoding.UTF8.GetBytes("Bearer " + (configuration["House:Key"] ?? throw new InvalidOperationException("House:Key is not set.")));
        var given = Encoding.UTF8.GetBytes(Request.Headers.Authorization.ToString());
        return Task.FromResult(CryptographicOperations.FixedTimeEquals(wanted, given)
            ? AuthenticateResult.Success(new(new ClaimsPrincipal(new ClaimsIdentity(Scheme.Name)), Scheme.Name))
            : AuthenticateResult.NoResult());
    }
}
