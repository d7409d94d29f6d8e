using System.Diagnostics;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

public class TorchPickleFuzzTests
{
    private static readonly byte[] s_other = TorchSamples.One(p => p.Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]));

    [Fact]
    public void A_mutated_pickle_is_read_safely_or_refused_with_one_typed_error() =>
        Fuzz(Mutator.Times(3_000), (seed, mutator) => TorchSamples.Archive(mutator.Mutate(seed % 2 == 0 ? TorchSamples.Pickle : s_other)));

    [Fact]
    public void A_mutated_archive_is_read_safely_or_refused_with_one_typed_error() =>
        Fuzz(Mutator.Times(2_000), (_, mutator) => mutator.Mutate(TorchSamples.Archive(TorchSamples.Pickle)));

    [Fact]
    public void Any_changed_byte_of_an_archive_is_harmless_or_refused()
    {
        var whole = TorchSamples.Archive(TorchSamples.Pickle);
        Fuzz(whole.Length * 2, (seed, _) =>
        {
            byte[] bytes = [.. whole];
            bytes[seed / 2] ^= (byte)(seed % 2 == 0 ? 0xff : 1 << (seed % 8));
            return bytes;
        });
    }

    private static void Fuzz(int count, Func<int, Mutator, byte[]> make)
    {
        using var folder = new TemporaryFolder();
        var path = folder[TorchSamples.Name];
        var (accepted, slowest, most) = (0, TimeSpan.Zero, 0L);
        for (var seed = 0; seed < count; seed++)
        {
            var bytes = make(seed, new Mutator(seed));
            File.WriteAllBytes(path, bytes);
            var allocated = GC.GetAllocatedBytesForCurrentThread();
            var start = Stopwatch.GetTimestamp();
            try
            {
                using var file = TorchPickleFile.Open(path);
                accepted++;
                AssertWithin(file, bytes.Length, seed);
            }
            catch (EngineException e)
            {
                Assert.True(e.Kind == EngineErrorKind.ModelFolder && e.Message.Length < 1000 && e.Message.StartsWith(TorchSamples.Name, StringComparison.Ordinal), $"seed {seed}: {e.Message}");
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"seed {seed}: {e}");
            }

            var elapsed = Stopwatch.GetElapsedTime(start);
            slowest = elapsed > slowest ? elapsed : slowest;
            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - allocated);
        }

        TestContext.Current.SendDiagnosticMessage($"{count} files, {accepted} accepted, slowest {slowest}, most bytes allocated {most}");
        Assert.InRange(accepted, 1, count - 1);
        Assert.True(slowest < TimeSpan.FromSeconds(30), $"slowest: {slowest}");
        Assert.InRange(most, 0, 1 << 20);
    }

    // Asserts that every byte of every tensor can be read and belongs to a storage.
    private static void AssertWithin(TorchPickleFile file, int fileLength, int seed)
    {
        foreach (var tensor in file.Tensors.Values)
        {
            Assert.True(tensor.Offset >= 0 && tensor.ByteLength >= 0 && tensor.Offset + tensor.ByteLength <= fileLength, $"seed {seed}: {tensor}");
            Assert.True(tensor.Shape.Aggregate((Int128)tensor.Dtype.ByteSize(), (a, b) => a * b) == tensor.ByteLength, $"seed {seed}: {tensor}");
            file.Read(tensor, 0, new byte[tensor.ByteLength]);
        }
    }
}
