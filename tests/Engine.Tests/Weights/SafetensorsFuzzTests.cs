using System.Diagnostics;
using System.Text;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

public class SafetensorsFuzzTests
{
    private const string Sample =
        """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"c":{"dtype":"U8","shape":[0],"data_offsets":[32,32]},"d":{"dtype":"I64","shape":[],"data_offsets":[32,40]}}""";

    [Fact]
    public void A_mutated_header_is_read_safely_or_refused_with_one_typed_error()
    {
        var original = Encoding.UTF8.GetBytes(Sample);
        var accepted = 0;
        var slowest = TimeSpan.Zero;
        var most = 0L;
        var count = Mutator.Times(5_000);
        for (var seed = 0; seed < count; seed++)
        {
            var header = new Mutator(seed).Mutate(original);
            var fileLength = 8 + header.Length + 40;
            var allocated = GC.GetAllocatedBytesForCurrentThread();
            var start = Stopwatch.GetTimestamp();
            try
            {
                var parsed = SafetensorsHeader.Parse("f", header, fileLength);
                accepted++;
                AssertCovers(parsed, 8 + header.Length, fileLength, seed);
            }
            catch (EngineException e)
            {
                Assert.True(e.Kind == EngineErrorKind.ModelFolder && e.Message.Length < 1000, $"seed {seed}: {e.Message}");
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"seed {seed}: {e}");
            }

            var elapsed = Stopwatch.GetElapsedTime(start);
            slowest = elapsed > slowest ? elapsed : slowest;
            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - allocated);
        }

        TestContext.Current.SendDiagnosticMessage($"{count} headers, {accepted} accepted, slowest {slowest}, most bytes allocated {most}, peak {Process.GetCurrentProcess().PeakWorkingSet64 >> 20} MiB");
        Assert.InRange(accepted, 1, count - 1);
        Assert.True(slowest < TimeSpan.FromSeconds(30), $"slowest: {slowest}");
        Assert.InRange(most, 0, 1 << 20);
    }

    [Fact]
    public void A_file_with_any_length_field_is_opened_or_refused_with_one_typed_error()
    {
        using var folder = new TemporaryFolder();
        var path = folder["f.safetensors"];
        var random = new Random(5);
        for (var i = 0; i < Mutator.Times(200); i++)
        {
            var file = new Mutator(i).Mutate(SafetensorsSamples.File(Sample, 40, (ulong)random.NextInt64(0, 1L << random.Next(4, 63))));
            File.WriteAllBytes(path, file);
            try
            {
                SafetensorsFile.Open(path).Dispose();
            }
            catch (EngineException e)
            {
                Assert.Equal(EngineErrorKind.ModelFolder, e.Kind);
            }
        }
    }

    // Asserts that the pointers reach exactly the data section, every byte once.
    private static void AssertCovers(SafetensorsHeader header, int dataStart, int fileLength, int seed)
    {
        var at = (long)dataStart;
        foreach (var tensor in header.Tensors.Values.OrderBy(t => t.Offset).ThenBy(t => t.ByteLength))
        {
            Assert.True(tensor.Offset == at && tensor.ByteLength >= 0, $"seed {seed}: {tensor}");
            Assert.True(tensor.Shape.All(dim => dim >= 0), $"seed {seed}: {tensor}");
            Assert.True(tensor.Dtype == SafetensorsDtype.Other || tensor.Shape.Aggregate((Int128)tensor.Dtype.ByteSize(), (a, b) => a * b) == tensor.ByteLength, $"seed {seed}: {tensor}");
            at += tensor.ByteLength;
        }

        Assert.True(at == fileLength, $"seed {seed}");
    }
}
