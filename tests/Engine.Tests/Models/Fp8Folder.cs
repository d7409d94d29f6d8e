using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using LocalLlm.Ops;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;

namespace LocalLlm.Tests.Models;

/// <summary>How scales of a checkpoint in 8-bit floats are stored.</summary>
internal enum ScaleStorage
{
    Float32,
    PowersOfTwo,
    Exponents,

    /// <summary>
    /// One bfloat16 scale for each output, in llm-compressor's configuration; the block's rows and columns do not matter.
    /// </summary>
    Channels,

    /// <summary>One scale for each matrix, otherwise like <see cref="Channels"/>.</summary>
    Matrices,
}

/// <summary>
/// Two folders of one model: one with weights quantised to 8-bit floats in blocks, as in released checkpoints, and one with the same values
/// as float32. The matrices of attention and MLP are quantised; embedding, head and norms are not.
/// </summary>
internal sealed class Fp8Folder : IDisposable
{
    private readonly TemporaryFolder _quantised = new();
    private readonly TemporaryFolder _plain = new();

    /// <param name="source">A folder of an unquantised model.</param>
    /// <param name="rows">Rows of a block.</param>
    /// <param name="columns">Columns of a block.</param>
    /// <param name="storage">How the scales are stored.</param>
    /// <param name="kept">Modules that stay unquantised; the configuration names them.</param>
    public Fp8Folder(string source, int rows = 128, int columns = 128, ScaleStorage storage = ScaleStorage.Float32, string[]? kept = null)
    {
        foreach (var file in Directory.EnumerateFiles(source).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
        {
            File.Copy(file, _quantised[System.IO.Path.GetFileName(file)]);
            File.Copy(file, _plain[System.IO.Path.GetFileName(file)]);
        }

        var compressed = storage is ScaleStorage.Channels or ScaleStorage.Matrices;
        if (compressed)
            (rows, columns) = (storage == ScaleStorage.Channels ? 1 : Fp8Grid.Whole, Fp8Grid.Whole);
        var config = JsonNode.Parse(File.ReadAllText(_quantised["config.json"]))!;
        config["quantization_config"] = new JsonObject
        {
            ["quant_method"] = "fp8", ["fmt"] = "e4m3", ["activation_scheme"] = "dynamic", ["weight_block_size"] = new JsonArray(rows, columns),
            ["modules_to_not_convert"] = new JsonArray([.. (kept ?? []).Select(name => (JsonNode)name)]),
        };
        if (storage is ScaleStorage.PowersOfTwo or ScaleStorage.Exponents)
            config["quantization_config"]!["scale_fmt"] = "ue8m0";
        if (compressed)
            config["quantization_config"] = JsonNode.Parse(storage == ScaleStorage.Channels ? ConfigSamples.Compressed().Json : ConfigSamples.Compressed("channel", "tensor").Json);
        File.WriteAllText(_quantised["config.json"], config.ToJsonString());
        var (quantised, plain) = (new Tensors(), new Tensors());
        using var checkpoint = Checkpoint.Open(source);
        foreach (var tensor in checkpoint.Tensors.Values)
        {
            var (name, shape) = (tensor.Info.Name, tensor.Info.Shape);
            var values = Read(tensor);
            if ((name.Contains("_proj.weight", StringComparison.Ordinal) || name.Contains("_proj_with_mqa.weight", StringComparison.Ordinal)) && !(kept ?? []).Any(part => name.Contains(part, StringComparison.Ordinal)))
            {
                var (elements, scales) = Quantise(values, (int)shape[0], (int)shape[1], rows, columns, storage);
                quantised.Add(new(name, SafetensorsDtype.F8E4M3, shape), elements);
                long[] grid = [(shape[0] + rows - 1) / rows, (shape[1] + columns - 1) / columns];
                if (storage == ScaleStorage.Matrices)
                    grid = [1];
                if (compressed)
                    quantised.Add(new($"{name}_scale", SafetensorsDtype.BF16, grid), MemoryMarshal.AsBytes<ushort>(scales.Select(scale => (ushort)(BitConverter.SingleToUInt32Bits(scale) >> 16)).ToArray()).ToArray());
                else if (storage == ScaleStorage.Exponents)
                    quantised.Add(new($"{name}_scale_inv", SafetensorsDtype.F8E8M0, grid), [.. scales.Select(scale => (byte)(Math.ILogB(scale) + 127))]);
                else
                    quantised.Add(new($"{name}_scale_inv", SafetensorsDtype.F32, grid), MemoryMarshal.AsBytes<float>(scales).ToArray());
                plain.Add(new(name, SafetensorsDtype.F32, shape), MemoryMarshal.AsBytes<float>(values).ToArray());
            }
            else
            {
                foreach (var target in (Tensors[])[quantised, plain])
                    target.Add(new(name, SafetensorsDtype.F32, shape), MemoryMarshal.AsBytes<float>(values).ToArray());
            }
        }

        quantised.Write(_quantised["model.safetensors"]);
        plain.Write(_plain["model.safetensors"]);
    }

    /// <summary>The folder with 8-bit floats.</summary>
    public string Path => _quantised.Path;

    /// <summary>The folder with the same values in float32.</summary>
    public string PlainPath => _plain.Path;

    public void Dispose()
    {
        _quantised.Dispose();
        _plain.Dispose();
    }

    /// <summary>Quantises the values, and replaces them with what their elements and scales stand for.</summary>
    private static (byte[] Elements, float[] Scales) Quantise(float[] values, int outFeatures, int inFeatures, int rows, int columns, ScaleStorage storage)
    {
        var (down, across) = ((outFeatures + rows - 1) / rows, (inFeatures + columns - 1) / columns);
        var scales = new float[down * across];
        for (var i = 0; i < values.Length; i++)
        {
            ref var scale = ref scales[(i / inFeatures / rows * across) + (i % inFeatures / columns)];
            scale = MathF.Max(scale, MathF.Abs(values[i]) / Float8.Largest);
        }

        if (storage is ScaleStorage.Channels or ScaleStorage.Matrices)
            scales = [.. scales.Select(scale => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(scale) + 0xFFFF) & 0xFFFF0000))];
        else if (storage != ScaleStorage.Float32)
            scales = [.. scales.Select(scale => MathF.ScaleB(1, (int)MathF.Ceiling(MathF.Log2(MathF.Max(scale, 1e-20f)))))];
        var elements = new byte[values.Length];
        for (var i = 0; i < values.Length; i++)
        {
            var scale = scales[(i / inFeatures / rows * across) + (i % inFeatures / columns)];
            elements[i] = Float8.FromSingle(scale == 0 ? 0 : values[i] / scale);
            values[i] = Float8.Values[elements[i]] * scale;
        }

        return (elements, scales);
    }

    private static float[] Read(TensorRef tensor)
    {
        var bytes = new byte[tensor.Info.ByteLength];
        tensor.File.Read(tensor.Info, 0, bytes);
        return tensor.Info.Dtype switch
        {
            SafetensorsDtype.F32 => MemoryMarshal.Cast<byte, float>(bytes).ToArray(),
            SafetensorsDtype.BF16 => [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16))],
            _ => throw new NotSupportedException(tensor.Info.TypeName),
        };
    }

    private sealed class Tensors
    {
        private readonly List<(TensorSpec Spec, byte[] Bytes)> _all = [];

        public void Add(TensorSpec spec, byte[] bytes) => _all.Add((spec, bytes));

        public void Write(string path)
        {
            using var writer = SafetensorsWriter.Create(path, [.. _all.Select(tensor => tensor.Spec)]);
            foreach (var (_, bytes) in _all)
                writer.Write(bytes);
            writer.Complete();
        }
    }
}
