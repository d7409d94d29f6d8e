using System.Text.Json;
using LocalLlm.Interop;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Bench;

/// <summary>Writes a model's folder with random bfloat16 weights.</summary>
internal static class RandomWeights
{
    private const double InitializerRange = 0.02;

    /// <summary>Writes config.json and model.safetensors, unless they exist.</summary>
    public static void Write(string folder, IReadOnlyDictionary<string, object> config, IReadOnlyList<(string Name, long[] Shape)> tensors)
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, "model.safetensors");
        if (File.Exists(path))
            return;
        TorchLibrary.EnsureLoaded();
        manual_seed(0);
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(config));
        var temporary = path + ".part";
        using (var writer = SafetensorsWriter.Create(temporary, [.. tensors.Select(tensor => new TensorSpec(tensor.Name, SafetensorsDtype.BF16, tensor.Shape))]))
        {
            foreach (var (name, shape) in tensors)
                WriteTensor(writer, name, shape);
            writer.Complete();
        }

        File.Move(temporary, path);
    }

    private static unsafe void WriteTensor(SafetensorsWriter writer, string name, long[] shape)
    {
        using var scope = NewDisposeScope();
        var values = (name.EndsWith("norm.weight", StringComparison.OrdinalIgnoreCase) ? ones(shape) : randn(shape) * InitializerRange).to(bfloat16);
        var (pointer, left) = ((nint)values.DataPointer(), values.numel() * sizeof(short));
        const int piece = 1 << 26;
        for (; left > 0; pointer += piece, left -= piece)
            writer.Write(new ReadOnlySpan<byte>((void*)pointer, (int)Math.Min(piece, left)));
    }
}
