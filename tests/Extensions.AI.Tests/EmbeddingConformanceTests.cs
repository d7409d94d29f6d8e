using System.Collections;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Numerics.Tensors;
using LocalLlm.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Xunit;

namespace LocalLlm.Extensions.AI.Tests;

/// <summary>The checks of Microsoft.Extensions.AI's own suite for embedding generators, with the real tiny model.</summary>
public sealed class EmbeddingConformanceTests(EmbeddingConformanceTests.Engine fixture) : IClassFixture<EmbeddingConformanceTests.Engine>
{
    // Two pairs of texts that belong together, as the model was trained to recognise.
    private static readonly string[] Pairs =
    [
        "Who leads Green Field Studios?", "The company Green Field Studios is led by Irene Weber. It was checked last week.",
        "East Ridge Motors headquarters", "The main office of East Ridge Motors is in Dublin. The data was updated this year.",
    ];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private IEmbeddingGenerator<string, Embedding<float>> Generator => fixture.Value.AsIEmbeddingGenerator();

    [Theory]
    [InlineData("Using AI with .NET")]
    [InlineData("Red", "White", "Blue")]
    public async Task Every_text_has_a_vector_of_the_models_width_and_name_and_all_have_one_usage(params string[] texts)
    {
        var metadata = Generator.GetService<EmbeddingGeneratorMetadata>()!;
        var made = await Generator.GenerateAsync(texts, cancellationToken: Token);
        Assert.Equal(texts.Length, made.Count);
        Assert.True(made.Usage!.InputTokenCount >= texts.Length);
        Assert.Equal(made.Usage.InputTokenCount, made.Usage.TotalTokenCount);
        Assert.All(made, embedding =>
        {
            Assert.Equal(metadata.DefaultModelId, embedding.ModelId);
            Assert.Equal(metadata.DefaultModelDimensions, embedding.Vector.Length);
            Assert.Equal(embedding.Vector.Length, embedding.Dimensions);
            Assert.NotNull(embedding.CreatedAt);
        });
        // Each text alone has the same embedding as in the batch.
        foreach (var (text, embedding) in texts.Zip(made))
            Assert.True(TensorPrimitives.CosineSimilarity((await Generator.GenerateVectorAsync(text, cancellationToken: Token)).Span, embedding.Vector.Span) > 0.9999f);
    }

    [Fact]
    public async Task What_was_embedded_before_comes_from_a_cache_and_is_the_same()
    {
        var counter = new Counting(Generator);
        using var generator = counter.AsBuilder().UseDistributedCache(new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions()))).Build();
        var first = await generator.GenerateAsync("Red, White, and Blue", cancellationToken: Token);
        var second = await generator.GenerateAsync("Red, White, and Blue", cancellationToken: Token);
        var other = await generator.GenerateAsync("Red, White, and Blue... and Green", cancellationToken: Token);
        var third = await generator.GenerateAsync("Red, White, and Blue", cancellationToken: Token);
        Assert.Equal(2, counter.Texts);
        Assert.Equal(first.Vector.ToArray(), second.Vector.ToArray());
        Assert.Equal(first.Vector.ToArray(), third.Vector.ToArray());
        Assert.Equal(first.ModelId, third.ModelId);
        Assert.NotEqual(first.Vector.ToArray(), other.Vector.ToArray());

        // Of several texts, only the new ones are computed.
        Assert.Equal(2, (await generator.GenerateAsync(["Red, White, and Blue", "Green"], cancellationToken: Token)).Count);
        Assert.Equal(3, counter.Texts);
    }

    [Fact]
    public async Task A_span_and_measurements_name_the_model_and_count_the_tokens()
    {
        const string source = "LocalLlm.Tests.Embeddings";
        var spans = new ConcurrentQueue<Activity>();
        using var listener = new ActivityListener { ShouldListenTo = candidate => candidate.Name == source, Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded, ActivityStopped = spans.Enqueue };
        ActivitySource.AddActivityListener(listener);
        var measured = new ConcurrentQueue<(string Instrument, double Value, IReadOnlyDictionary<string, object?> Tags)>();
        using var meters = new MeterListener { InstrumentPublished = (instrument, meter) => { if (instrument.Meter.Name == source) { meter.EnableMeasurementEvents(instrument); } } };
        meters.SetMeasurementEventCallback<int>((instrument, value, tags, _) => measured.Enqueue((instrument.Name, value, Tags(tags))));
        meters.SetMeasurementEventCallback<double>((instrument, value, tags, _) => measured.Enqueue((instrument.Name, value, Tags(tags))));
        meters.Start();
        using var generator = Generator.AsBuilder().UseOpenTelemetry(sourceName: source).Build();
        var made = await generator.GenerateAsync(["Hello, world!"], cancellationToken: Token);

        var span = Assert.Single(spans);
        Assert.StartsWith("embeddings", span.DisplayName, StringComparison.Ordinal);
        Assert.Equal(("localllm", "tiny-m3", "tiny-m3"), (span.GetTagItem("gen_ai.provider.name"), span.GetTagItem("gen_ai.request.model"), span.GetTagItem("gen_ai.response.model")));
        Assert.Equal((int)made.Usage!.InputTokenCount!, span.GetTagItem("gen_ai.usage.input_tokens"));
        Assert.True(span.Duration > TimeSpan.Zero);
        // An engine in this process has no server, so the span names none.
        Assert.Null(span.GetTagItem("server.address"));
        var usage = Assert.Single(measured, one => one.Instrument == "gen_ai.client.token.usage");
        Assert.Equal((double)made.Usage.InputTokenCount!, usage.Value);
        Assert.Equal("tiny-m3", usage.Tags["gen_ai.request.model"]);
        Assert.Single(measured, one => one.Instrument == "gen_ai.client.operation.duration" && one.Value > 0);

        static Dictionary<string, object?> Tags(ReadOnlySpan<KeyValuePair<string, object?>> tags) => new(tags.ToArray());
    }

    [Fact]
    public async Task A_log_says_what_was_asked_and_what_failed()
    {
        var log = new LogLines();
        using var logging = LoggerFactory.Create(builder => builder.SetMinimumLevel(LogLevel.Trace).AddProvider(log));
        using var generator = Generator.AsBuilder().UseLogging(logging).Build();
        await generator.GenerateAsync(["Hello, world!"], cancellationToken: Token);
        Assert.Contains(log.Lines, line => line.Contains("GenerateAsync invoked", StringComparison.Ordinal));
        Assert.Contains(log.Lines, line => line.Contains("1 embedding", StringComparison.Ordinal));
        await Assert.ThrowsAsync<NotSupportedException>(() => generator.GenerateAsync(["a"], new() { Dimensions = 7 }, Token));
        Assert.Contains(log.Lines, line => line.Contains("GenerateAsync failed", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Vectors_of_single_bits_still_tell_what_belongs_together()
    {
        using var generator = new Quantizing<BinaryEmbedding>(Generator, embedding => new(new BitArray(embedding.Vector.ToArray().Select(value => value > 0).ToArray())));
        var made = await generator.GenerateAsync(Pairs, cancellationToken: Token);
        AssertPairs((one, other) => -TensorPrimitives.HammingBitDistance<byte>(Bytes(made[one].Vector), Bytes(made[other].Vector)), itself: 0, tolerance: 0);

        static byte[] Bytes(BitArray bits)
        {
            var bytes = new byte[(bits.Length + 7) / 8];
            bits.CopyTo(bytes, 0);
            return bytes;
        }
    }

    [Fact]
    public async Task Vectors_of_half_the_width_still_tell_what_belongs_together()
    {
        using var generator = new Quantizing<Embedding<Half>>(Generator, embedding => new(embedding.Vector.ToArray().Select(value => (Half)value).ToArray()));
        var made = await generator.GenerateAsync(Pairs, cancellationToken: Token);
        AssertPairs((one, other) => (double)TensorPrimitives.CosineSimilarity(made[one].Vector.Span, made[other].Vector.Span), itself: 1, tolerance: 0.001);
    }

    [Fact]
    public async Task A_generator_ranks_through_its_layers_and_one_without_an_engine_says_that_it_cannot()
    {
        var counter = new Counting(Generator);
        using var generator = counter.AsBuilder().UseDistributedCache(new MemoryDistributedCache(Options.Create(new MemoryDistributedCacheOptions()))).Build();
        var ranked = await generator.RerankAsync(Pairs[0], [Pairs[3], Pairs[1]], cancellationToken: Token);
        Assert.Equal([1, 0], ranked.Results.Select(document => document.Index));
        Assert.Equal(0, counter.Texts);
        Assert.Equal([1], (await generator.RerankAsync(Pairs[2], [Pairs[1], Pairs[3]], top: 1, weights: new(1, 0, 0), cancellationToken: Token)).Results.Select(document => document.Index));
        // A generator over a model that generates text.
        await using var services = new ServiceCollection().AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1).Services.BuildServiceProvider();
        await Assert.ThrowsAsync<NotSupportedException>(() => services.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>().RerankAsync("a", ["b"], cancellationToken: Token));
    }

    private static void AssertPairs(Func<int, int, double> likeness, double itself, double tolerance)
    {
        foreach (var text in Enumerable.Range(0, Pairs.Length))
            Assert.Equal(itself, likeness(text, text), tolerance);
        foreach (var (one, other) in ((int, int)[])[(0, 1), (2, 3)])
        {
            foreach (var stranger in Enumerable.Range(0, Pairs.Length).Where(text => text != one && text != other))
                Assert.True(likeness(one, other) > likeness(one, stranger) && likeness(one, other) > likeness(other, stranger), $"{one} and {other}, {stranger}");
        }
    }

    public sealed class Engine : IAsyncLifetime
    {
        internal EmbeddingEngine Value { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Value = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu" });

        public ValueTask DisposeAsync() => Value.DisposeAsync();
    }

    private sealed class Counting(IEmbeddingGenerator<string, Embedding<float>> inner) : DelegatingEmbeddingGenerator<string, Embedding<float>>(inner)
    {
        public int Texts { get; private set; }

        public override Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
        {
            var texts = values.ToArray();
            Texts += texts.Length;
            return base.GenerateAsync(texts, options, cancellationToken);
        }
    }

    private sealed class Quantizing<T>(IEmbeddingGenerator<string, Embedding<float>> inner, Func<Embedding<float>, T> quantize) : IEmbeddingGenerator<string, T>
        where T : Embedding
    {
        public async Task<GeneratedEmbeddings<T>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default) =>
            new((await inner.GenerateAsync(values, options, cancellationToken)).Select(quantize));

        public object? GetService(Type serviceType, object? serviceKey = null) => inner.GetService(serviceType, serviceKey);

        public void Dispose() => inner.Dispose();
    }

    private sealed class LogLines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Enqueue(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
