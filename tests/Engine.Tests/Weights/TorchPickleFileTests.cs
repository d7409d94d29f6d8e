using System.Security.Cryptography;
using System.Text;
using LocalLlm.Interop;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Weights;

public class TorchPickleFileTests
{
    private static byte[] Bytes(TorchPickleFile file, string name)
    {
        var bytes = new byte[file.Tensors[name].ByteLength];
        file.Read(file.Tensors[name], 0, bytes);
        return bytes;
    }

    private static void Opens(byte[] bytes, Action<TorchPickleFile> check)
    {
        using var folder = new TemporaryFolder();
        folder.Write(TorchSamples.Name, bytes);
        using var file = TorchPickleFile.Open(folder[TorchSamples.Name]);
        check(file);
    }

    [Theory]
    [InlineData(true, true, 7)]
    [InlineData(true, false, 0)]
    [InlineData(false, true, 60)]
    [InlineData(false, false, 0)]
    public void A_state_dict_is_read_where_its_storages_lie(bool hasDescriptors, bool isZip64, int padding) =>
        Opens(TorchSamples.Zip(null, hasDescriptors, isZip64, padding).Bytes, file =>
        {
            Assert.Equal(["a", "b", "c"], file.Tensors.Keys.Order());
            Assert.Equal((SafetensorsDtype.F32, 24L), (file.Tensors["a"].Dtype, file.Tensors["a"].ByteLength));
            Assert.Equal([2L, 3L], file.Tensors["a"].Shape);
            Assert.Equal(TorchSamples.Storages[0], Bytes(file, "a"));
            Assert.Equal(SafetensorsDtype.F16, file.Tensors["c"].Dtype);
            Assert.Equal(TorchSamples.Storages[1], Bytes(file, "c"));
        });

    [Fact]
    public void Tensors_that_share_a_storage_are_read_from_one_place() =>
        Opens(TorchSamples.Archive(TorchSamples.Pickle), file =>
        {
            Assert.Equal(file.Tensors["a"].Offset + 12, file.Tensors["b"].Offset);
            Assert.Equal(TorchSamples.Storages[0][12..], Bytes(file, "b"));
        });

    [Fact]
    public void A_tensor_is_read_as_libtorchs_of_its_own_type() =>
        Opens(TorchSamples.Archive(TorchSamples.Pickle), file =>
        {
            TorchLibrary.EnsureLoaded();
            using var a = file.ReadTensor(file.Tensors["a"]);
            using var c = file.ReadTensor(file.Tensors["c"]);
            Assert.Equal([1f, 2, 3, 4, 5, 6], a.data<float>().ToArray());
            Assert.Equal([2L, 3L], a.shape);
            Assert.Equal(ScalarType.Float16, c.dtype);
        });

    [Theory]
    [InlineData("pytorch_model.bin", 71, "487d8da60df4a76915a4baf92cb3a66efedd208d3176b1bf16c3f9b8445c4466")]
    [InlineData("sparse_linear.pt", 2, "1cc3e9bdbe6348020327a4ceaec0243a393786228278bea615035dedce0af0ae")]
    [InlineData("colbert_linear.pt", 2, "2c7ac1c4c6ca2074256f1bc7340ad79d4b34aedf9cfac66ed10f87fac0b03319")]
    public void Files_of_torch_save_are_read_as_Pythons_pickle_reads_them(string name, int count, string digest)
    {
        // SHA-256 of name, shape and bytes of every tensor in order of name, computed with Python's own pickle and zipfile modules.
        using var file = TorchPickleFile.Open(Path.Combine(TestPaths.TinyM3, name));
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var tensor in file.Tensors.Values.OrderBy(tensor => tensor.Name, StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{tensor.Name}[{string.Join(',', tensor.Shape)}]"));
            hash.AppendData(Bytes(file, tensor.Name));
        }

        Assert.Equal(count, file.Tensors.Count);
        Assert.Equal(digest, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    [Fact]
    public void A_newer_protocol_a_parameter_and_types_without_a_storage_of_their_own_are_read()
    {
        var pickle = new PickleBytes().Raw(0x80, 4, 0x95).Raw(BitConverter.GetBytes(30L)).Raw(0x8c, 11).Raw("collections"u8.ToArray()).Raw(0x94).Short("OrderedDict").Raw(0x94, 0x93, 0x94).Op(")R").Raw(0x94).Op('(')
            .Short("p").Global("torch._utils", "_rebuild_parameter").Op('(').Tensor("FloatStorage", "0", 6, 0, [1, 6], [999, 1]).Raw(0x88).OrderedDict().Op("tR")
            .Short("f8").Global("torch._utils", "_rebuild_tensor_v3").Op('(').Storage("UntypedStorage", "1", 8).Int(2).Tuple(6).Tuple(1).Raw(0x89).OrderedDict().Global("torch", "float8_e4m3fn").Op("NtR")
            .Short("none").Tensor("LongStorage", "1", 1, 1, [0, 5], [7, 7]).Short("scalar").Tensor("LongStorage", "1", 1, 0, [], []).Op('u').Stop();
        Opens(TorchSamples.Archive(pickle), file =>
        {
            Assert.Equal(TorchSamples.Storages[0], Bytes(file, "p")); // the stride of a dimension of 1 means nothing
            Assert.Equal((SafetensorsDtype.F8E4M3, 6L), (file.Tensors["f8"].Dtype, file.Tensors["f8"].ByteLength));
            Assert.Equal(TorchSamples.Storages[1][2..], Bytes(file, "f8"));
            Assert.Empty(Bytes(file, "none"));
            Assert.Equal(TorchSamples.Storages[1], Bytes(file, "scalar"));
        });
    }

    [Fact]
    public void A_closed_file_and_bytes_beyond_a_tensor_are_not_read()
    {
        using var folder = new TemporaryFolder();
        folder.Write(TorchSamples.Name, TorchSamples.Archive(TorchSamples.Pickle));
        var file = TorchPickleFile.Open(folder[TorchSamples.Name]);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read(file.Tensors["b"], 0, new byte[13]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read(file.Tensors["b"], -1, new byte[1]));
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Read(file.Tensors["b"], 0, new byte[1]));
    }

    [Fact]
    public void A_file_that_shrinks_after_it_was_opened_is_one_error()
    {
        using var folder = new TemporaryFolder();
        folder.Write(TorchSamples.Name, TorchSamples.Archive(TorchSamples.Pickle));
        using var file = TorchPickleFile.Open(folder[TorchSamples.Name]);
        using (var other = new FileStream(folder[TorchSamples.Name], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            other.SetLength(file.Tensors["a"].Offset + 1);
        Assert.Contains("shorter", Assert.Throws<EngineException>(() => Bytes(file, "a")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_storage_beyond_4_GiB_is_reached_and_costs_no_memory()
    {
        // torch's layout: zip64 fields in the directory and a descriptor of 64-bit sizes, for the large storage and for what comes after
        // it.
        const long Big = (4L << 30) + 64;
        var pickle = TorchSamples.Start().Text("big").Tensor("ByteStorage", "0", Big, 0, [Big], [1]).Text("last").Tensor("ByteStorage", "1", 4, 0, [4], [1]).Op('u').Stop();
        using var folder = new TemporaryFolder();
        SparseArchive.Write(folder[TorchSamples.Name], pickle, Big, [1, 2, 3, 4]);
        var before = GC.GetAllocatedBytesForCurrentThread();
        using var file = TorchPickleFile.Open(folder[TorchSamples.Name]);
        Assert.Equal([1, 2, 3, 4], Bytes(file, "last"));
        var end = new byte[1];
        file.Read(file.Tensors["big"], Big - 1, end);
        Assert.Equal(42, end[0]);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }
}
