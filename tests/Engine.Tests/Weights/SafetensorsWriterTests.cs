using LocalLlm.Weights;
using Xunit;

namespace LocalLlm.Tests.Weights;

public class SafetensorsWriterTests
{
    [Fact]
    public void What_is_written_in_pieces_is_read_back()
    {
        using var folder = new TemporaryFolder();
        var path = folder["w.safetensors"];
        var specs = new TensorSpec[]
        {
            new("model.norm \"权重\"\n", SafetensorsDtype.BF16, [3]),
            new("empty", SafetensorsDtype.F32, [0, 7]),
            new("scalar", SafetensorsDtype.F64, []),
        };
        var random = new Random(1);
        var data = new byte[6 + 8];
        random.NextBytes(data);
        using (var writer = SafetensorsWriter.Create(path, specs, new Dictionary<string, string> { ["format"] = "pt" }))
        {
            writer.Write(data.AsSpan(0, 1));
            writer.Write(data.AsSpan(1, 9));
            writer.Write(data.AsSpan(10));
            writer.Complete();
        }

        using var file = SafetensorsFile.Open(path);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal(data[..6], file.Bytes(file.Tensors[specs[0].Name]).ToArray());
        Assert.Equal([0L, 7L], file.Tensors["empty"].Shape);
        Assert.Equal(data[6..], file.Bytes(file.Tensors["scalar"]).ToArray());
        Assert.Equal(0, file.Tensors[specs[0].Name].Offset % 8);
    }

    [Fact]
    public void Too_many_and_too_few_bytes_are_refused()
    {
        using var writer = new SafetensorsWriter(new MemoryStream(), [new TensorSpec("t", SafetensorsDtype.U8, [2])]);
        Assert.Throws<InvalidOperationException>(() => writer.Write(new byte[3]));
        writer.Write(new byte[1]);
        Assert.Throws<InvalidOperationException>(writer.Complete);
        writer.Write(new byte[1]);
        writer.Complete();
    }

    [Fact]
    public void A_file_that_could_not_be_read_back_is_not_written()
    {
        TensorSpec Spec(string name, params long[] shape) => new(name, SafetensorsDtype.F32, shape);
        Assert.Throws<ArgumentException>(() => new SafetensorsWriter(new MemoryStream(), [Spec("t", 1), Spec("t", 1)]));
        Assert.Throws<ArgumentException>(() => new SafetensorsWriter(new MemoryStream(), [Spec("__metadata__", 1)]));
        Assert.Throws<ArgumentException>(() => new SafetensorsWriter(new MemoryStream(), [Spec("t", -1)]));
        Assert.Throws<OverflowException>(() => new SafetensorsWriter(new MemoryStream(), [Spec("t", long.MaxValue)]));
    }
}
