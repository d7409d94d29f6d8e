using System.Runtime.InteropServices;
using System.Text;
using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

public class SafetensorsFileTests
{
    private const string Name = "model.safetensors";

    [Fact]
    public unsafe void A_tensor_is_read_where_the_header_says()
    {
        using var folder = new TemporaryFolder();
        folder.Write(Name, SafetensorsSamples.File(SafetensorsSamples.TwoTensors, 32));
        using var file = SafetensorsFile.Open(folder[Name]);
        Assert.Equal(Enumerable.Range(1, 24).Select(i => (byte)i), file.Bytes(file.Tensors["a"]).ToArray());
        Assert.Equal(Enumerable.Range(25, 8).Select(i => (byte)i), file.Bytes(file.Tensors["b"]).ToArray());
        Assert.Equal(25, *file.Pointer(file.Tensors["b"]));
    }

    [Fact]
    public void The_shipped_model_opens_and_its_weights_are_sane()
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestPaths.TinyR1, Name));
        var embedding = file.Tensors["model.embed_tokens.weight"];
        Assert.Equal(SafetensorsDtype.BF16, embedding.Dtype);
        Assert.Equal([4096L, 256L], embedding.Shape);
        var values = MemoryMarshal.Cast<byte, ushort>(file.Bytes(embedding)).ToArray().Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16));
        Assert.All(values, value => Assert.True(float.IsFinite(value) && Math.Abs(value) < 100));
        Assert.Equal(file.Tensors.Values.Sum(t => t.ByteLength), file.Tensors.Values.Max(t => t.Offset + t.ByteLength) - file.Tensors.Values.Min(t => t.Offset));
    }

    [Fact]
    public void A_trained_model_made_by_others_opens()
    {
        using var file = SafetensorsFile.Open(Path.Combine(TestPaths.Shared("data", "weights", "stories260K-hf"), Name));
        Assert.Equal([512L, 64L], file.Tensors["model.embed_tokens.weight"].Shape);
        Assert.Equal(SafetensorsDtype.F32, file.Tensors["model.norm.weight"].Dtype);
    }

    [Fact]
    public void Every_random_golden_model_opens()
    {
        foreach (var path in Directory.GetFiles(TestPaths.Shared("goldens", "random"), Name, SearchOption.AllDirectories))
        {
            using var file = SafetensorsFile.Open(path);
            Assert.NotEmpty(file.Tensors);
        }
    }

    [Fact]
    public void A_file_cut_at_any_of_64_places_is_one_error()
    {
        var whole = File.ReadAllBytes(Path.Combine(TestPaths.TinyR1, Name));
        var header = BitConverter.ToInt32(whole);
        using var folder = new TemporaryFolder();
        for (var i = 0; i < 64; i++)
        {
            // Half of the cuts lie in the header, half in the data; the last one leaves all but one byte.
            var length = i < 32 ? i * (header + 8) / 32 : header + 8 + (int)((i - 31L) * (whole.Length - header - 8) / 32) - 1;
            folder.Write(Name, whole[..length]);
            var error = Assert.Throws<EngineException>(() => SafetensorsFile.Open(folder[Name]));
            Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
            Assert.StartsWith(Name, error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void A_file_shorter_than_the_length_field_is_refused(int length)
    {
        using var folder = new TemporaryFolder();
        folder.Write(Name, new byte[length]);
        var error = Assert.Throws<EngineException>(() => SafetensorsFile.Open(folder[Name]));
        Assert.Contains($"has {length} bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_a_folder_and_a_device_are_refused()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["folder.safetensors"]);
        File.CreateSymbolicLink(folder["nowhere.safetensors"], "not-there");
        File.CreateSymbolicLink(folder["loop.safetensors"], "loop.safetensors");
        File.CreateSymbolicLink(folder["zero.safetensors"], "/dev/zero");
        foreach (var name in (string[])["absent.safetensors", "folder.safetensors", "nowhere.safetensors", "loop.safetensors", "zero.safetensors"])
        {
            var error = Assert.Throws<EngineException>(() => SafetensorsFile.Open(folder[name]));
            Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public unsafe void A_file_of_more_than_4_GiB_is_reached_by_pointer_and_costs_no_memory()
    {
        const long Big = (4L << 30) + 4096;
        var header = $$$"""{"big":{"dtype":"U8","shape":[{{{Big}}}],"data_offsets":[0,{{{Big}}}]},"last":{"dtype":"U8","shape":[1],"data_offsets":[{{{Big}}},{{{Big + 1}}}]}}""";
        using var folder = new TemporaryFolder();
        using (var stream = new FileStream(folder[Name], FileMode.CreateNew))
        {
            // A sparse file: the disk holds only what is written.
            stream.Write(SafetensorsSamples.File(Encoding.UTF8.GetBytes(header), 0));
            stream.SetLength(8 + header.Length + Big + 1);
            stream.Seek(-1, SeekOrigin.End);
            stream.WriteByte(42);
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        using var file = SafetensorsFile.Open(folder[Name]);
        Assert.Equal(42, *file.Pointer(file.Tensors["last"]));
        Assert.Equal(42, file.Pointer(file.Tensors["big"])[Big]);
        Assert.Equal(42, file.Bytes(file.Tensors["last"])[0]);
        Assert.Throws<ArgumentException>(() => file.Bytes(file.Tensors["big"]).Length);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public unsafe void A_tensor_of_another_file_and_a_closed_file_give_no_pointer()
    {
        using var folder = new TemporaryFolder();
        SafetensorsSamples.WriteFile(folder["one.safetensors"], ("t", 1));
        SafetensorsSamples.WriteFile(folder["two.safetensors"], ("t", 2));
        var one = SafetensorsFile.Open(folder["one.safetensors"]);
        using var two = SafetensorsFile.Open(folder["two.safetensors"]);
        var tensor = one.Tensors["t"];
        Assert.Throws<ArgumentException>(() => (nint)two.Pointer(tensor));
        one.Dispose();
        one.Dispose();
        Assert.Throws<ObjectDisposedException>(() => (nint)one.Pointer(tensor));
    }
}
