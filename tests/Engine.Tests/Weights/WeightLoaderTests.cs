using System.Runtime.InteropServices;
using LocalLlm.Interop;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Weights;

public class WeightLoaderTests
{
    private const string Name = "model.safetensors";
    private const int Rows = 1000;
    private const int Columns = 3001;

    public WeightLoaderTests() => TorchLibrary.EnsureLoaded();

    [Theory]
    [InlineData(0, 0, Rows)]
    [InlineData(0, 250, 500)]
    [InlineData(1, 1000, 1000)]
    [InlineData(1, 0, 1)]
    public void A_slice_is_read_however_it_lies_in_the_file(int dimension, int start, int length)
    {
        using var folder = Folder();
        using var checkpoint = Checkpoint.Open(folder.Path);
        var part = new WeightSpec("w", [Rows, Columns], dimension, start, length);
        var loaded = Load(checkpoint, part, part with { Start = 0, Length = 1 });
        using var expected = arange(0, Rows * Columns, ScalarType.Float32).view(Rows, Columns);
        using var slice = expected.narrow(dimension, start, length);
        using var first = expected.narrow(dimension, 0, 1);
        Assert.Equal(Values(slice).Concat(Values(first)), loaded);
    }

    [Fact]
    public void Chunks_keep_their_order_however_readers_overtake_one_another()
    {
        using var folder = Folder();
        using var checkpoint = Checkpoint.Open(folder.Path);
        var slice = new SliceReader(checkpoint, WeightSpec.Whole("w", Rows, Columns));
        // As small as possible, so that readers meet at the same buffer all the time.
        using var staging = new HostStaging(buffers: 2, bufferBytes: sizeof(float));
        WeightChunk[] chunks = [.. Enumerable.Range(0, 100_000).Select(i => new WeightChunk(slice, i * sizeof(float), sizeof(float)))];
        using var pipeline = new ChunkPipeline(chunks, staging, CancellationToken.None);
        for (var i = 0; i < chunks.Length; i++)
        {
            var buffer = pipeline.Take();
            Assert.Equal(i, BitConverter.ToSingle(staging.Buffer(buffer)));
            pipeline.Release(buffer);
        }
    }

    [Fact]
    public void A_file_that_shrinks_while_it_is_read_is_one_error()
    {
        using var folder = Folder();
        using var checkpoint = Checkpoint.Open(folder.Path);
        using (var file = new FileStream(folder[Name], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(file.Length / 2);
        var error = Assert.Throws<EngineException>(() => Load(checkpoint, WeightSpec.Whole("w", Rows, Columns)));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.Contains("shorter", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Loading_ends_when_it_is_cancelled()
    {
        using var folder = Folder();
        using var checkpoint = Checkpoint.Open(folder.Path);
        using var source = new CancellationTokenSource();
        var registry = new WeightRegistry();
        registry.Add(WeightSpec.Whole("w", Rows, Columns), tensor => tensor.alias());
        var progress = new Cancelling(source);
        Assert.ThrowsAny<OperationCanceledException>(() => WeightLoader.Load(registry, checkpoint, ScalarType.Float32, null, progress, source.Token));
    }

    // Float32 values 0, 1, 2 … and a little more than two buffers of the loader.
    private static TemporaryFolder Folder()
    {
        var folder = new TemporaryFolder();
        using var writer = SafetensorsWriter.Create(folder[Name], [new("w", SafetensorsDtype.F32, [Rows, Columns])]);
        writer.Write(MemoryMarshal.AsBytes(Enumerable.Range(0, Rows * Columns).Select(i => (float)i).ToArray().AsSpan()));
        writer.Complete();
        return folder;
    }

    private static float[] Load(Checkpoint checkpoint, params WeightSpec[] parts)
    {
        var registry = new WeightRegistry();
        float[] loaded = [];
        var flat = parts.Length == 1 || parts[0].Dimension == 0;
        foreach (var group in flat ? [parts] : parts.Select(part => new[] { part }))
            registry.Add(group, (tensor, _) =>
            {
                loaded = [.. loaded, .. Values(tensor)];
                return tensor.alias();
            });
        WeightLoader.Load(registry, checkpoint, ScalarType.Float32, null, null, CancellationToken.None);
        return loaded;
    }

    private static float[] Values(Tensor tensor)
    {
        using var contiguous = tensor.contiguous();
        return contiguous.data<float>().ToArray();
    }

    private sealed class Cancelling(CancellationTokenSource source) : IProgress<WeightProgress>
    {
        public void Report(WeightProgress value) => source.Cancel();
    }
}
