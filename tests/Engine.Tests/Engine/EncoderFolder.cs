using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using LocalLlm.Interop;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Engine;

/// <summary>A copy of the tiny embedding model's folder. Its weights are safetensors, and a test may change them.</summary>
internal sealed class EncoderFolder : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    /// <param name="change">Changes the weights: shape and values by name.</param>
    /// <param name="safeHeads">Whether the heads are stored as safetensors, too.</param>
    public EncoderFolder(Action<Dictionary<string, (long[] Shape, float[] Values)>>? change = null, bool safeHeads = false)
    {
        TorchLibrary.EnsureLoaded();
        Directory.CreateDirectory(_folder["1_Pooling"]);
        foreach (var file in (string[])["config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json", "1_Pooling/config.json", .. safeHeads ? Array.Empty<string>() : ["sparse_linear.pt", "colbert_linear.pt"]])
            File.Copy(System.IO.Path.Combine(TestPaths.TinyM3, file), _folder[file]);
        Convert("pytorch_model.bin", "model.safetensors", change);
        if (!safeHeads)
            return;
        Convert("sparse_linear.pt", "sparse_linear.safetensors", null);
        Convert("colbert_linear.pt", "colbert_linear.safetensors", null);
    }

    public string Path => _folder.Path;

    public Task<EmbeddingEngine> LoadAsync(CancellationToken cancellationToken, Func<EngineOptions, EngineOptions>? change = null)
    {
        var options = new EngineOptions { ModelPath = Path, Device = "cpu" };
        return EmbeddingEngine.LoadAsync(change is null ? options : change(options), cancellationToken: cancellationToken);
    }

    /// <summary>Changes a JSON file.</summary>
    public void Edit(string file, Action<JsonNode> change)
    {
        var json = JsonNode.Parse(File.ReadAllText(_folder[file]))!;
        change(json);
        File.WriteAllText(_folder[file], json.ToJsonString());
    }

    public void Dispose() => _folder.Dispose();

    private void Convert(string from, string to, Action<Dictionary<string, (long[] Shape, float[] Values)>>? change)
    {
        using var scope = NewDisposeScope();
        using var source = TorchPickleFile.Open(System.IO.Path.Combine(TestPaths.TinyM3, from));
        var tensors = source.Tensors.Values.Where(tensor => tensor.Dtype is SafetensorsDtype.F32 or SafetensorsDtype.F16)
            .ToDictionary(tensor => tensor.Name, tensor => (Shape: tensor.Shape.ToArray(), Values: source.ReadTensor(tensor).to(ScalarType.Float32).view(-1).data<float>().ToArray()));
        change?.Invoke(tensors);
        using var writer = SafetensorsWriter.Create(_folder[to], [.. tensors.Select(tensor => new TensorSpec(tensor.Key, SafetensorsDtype.F32, tensor.Value.Shape))]);
        foreach (var tensor in tensors.Values)
            writer.Write(MemoryMarshal.AsBytes<float>(tensor.Values));
        writer.Complete();
    }
}
