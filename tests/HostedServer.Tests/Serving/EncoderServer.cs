using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>The real server with only the real tiny embedding model.</summary>
public sealed class EncoderServer : IAsyncLifetime
{
    internal TestServer Server { get; } = new(null, isEncoder: true);

    public ValueTask InitializeAsync() => Server.InitializeAsync();

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}
