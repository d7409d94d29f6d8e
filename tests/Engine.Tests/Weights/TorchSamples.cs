namespace LocalLlm.Tests.Weights;

/// <summary>Files of torch.save, made by hand.</summary>
internal static class TorchSamples
{
    public const string Name = "pytorch_model.bin";
    public const string Root = "pytorch_model";

    /// <summary>Storage 0: six floats 1 to 6; storage 1: four halves.</summary>
    public static readonly byte[][] Storages = [Bytes([1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6, 7, 8]];

    /// <summary>a [2, 3] and b, its second row, share storage 0; c [4] is of halves; the dictionary carries _metadata.</summary>
    public static byte[] Pickle { get; } = Start()
        .Text("a").Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1])
        .Text("b").Tensor("FloatStorage", "0", 6, 3, [3], [1])
        .Text("c").Tensor("HalfStorage", "1", 4, 0, [4], [1])
        .Op('u').Op('}').Text("_metadata").OrderedDict().Op('(').Text("").Op("}").Text("version").Int(1).Op("su").Op("sb").Stop();

    /// <summary>A state dict up to its items.</summary>
    public static PickleBytes Start() => PickleBytes.Start().OrderedDict().Op('(');

    /// <summary>A state dict of one tensor, x.</summary>
    public static byte[] One(Func<PickleBytes, PickleBytes> tensor) => tensor(Start().Text("x")).Op('u').Stop();

    public static byte[] Archive(byte[] pickle) => Zip(pickle).Bytes;

    public static ZipSample Zip(byte[]? pickle = null, bool hasDescriptors = true, bool isZip64 = true, int padding = 7, params (string Name, byte[] Content)[] more) =>
        ZipSample.Of([.. Entries(pickle ?? Pickle), .. more], hasDescriptors, isZip64, padding);

    public static (string Name, byte[] Content)[] Entries(byte[] pickle) =>
    [
        ($"{Root}/data.pkl", pickle), ($"{Root}/byteorder", "little"u8.ToArray()), ($"{Root}/data/0", Storages[0]), ($"{Root}/data/1", Storages[1]), ($"{Root}/version", "3\n"u8.ToArray()),
    ];

    /// <summary>A file of float tensors of one value each.</summary>
    public static void WriteFile(string path, params (string Name, float Value)[] tensors)
    {
        var pickle = Start();
        for (var i = 0; i < tensors.Length; i++)
            pickle.Text(tensors[i].Name).Tensor("FloatStorage", $"{i}", 1, 0, [1], [1]);
        var storages = tensors.Select((tensor, i) => ($"archive/data/{i}", Bytes([tensor.Value])));
        File.WriteAllBytes(path, ZipSample.Of([("archive/data.pkl", pickle.Op('u').Stop()), .. storages]).Bytes);
    }

    private static byte[] Bytes(float[] values) => [.. values.SelectMany(BitConverter.GetBytes)];
}
