using Xunit;

namespace LocalLlm.Tests;

/// <summary>One engine with the shipped tiny model in float32, for all tests of a class.</summary>
public sealed class EngineFixture : IAsyncLifetime
{
    /// <summary>The engine.</summary>
    public LlmEngine Value { get; private set; } = null!;

    /// <inheritdoc/>
    public async ValueTask InitializeAsync() => Value = await LlmEngine.LoadAsync(new EngineOptions { ModelPath = TestPaths.TinyR1, Dtype = "float32", LoggerFactory = new FailureLog() });

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Value.DisposeAsync();
}
