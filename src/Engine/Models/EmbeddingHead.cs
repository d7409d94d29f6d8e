using LocalLlm.Ops;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Models;

/// <summary>
/// One linear layer that bge-m3 keeps in a file of its own (<c>sparse_linear</c>, <c>colbert_linear</c>): <c>.safetensors</c> if it exists,
/// else <c>.pt</c>.
/// </summary>
internal sealed class EmbeddingHead : IDisposable
{
    private readonly IDeviceOps _ops;
    private readonly LinearWeight _weight;

    private EmbeddingHead(IDeviceOps ops, LinearWeight weight) => (_ops, _weight) = (ops, weight);

    /// <summary>Reads a head; null: the folder has none.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="name">The file's name without its extension.</param>
    /// <param name="outFeatures">Its expected outputs; null: any number.</param>
    /// <param name="inFeatures">Width of the hidden states.</param>
    /// <param name="ops">The device that computes it.</param>
    /// <param name="type">The type to compute in.</param>
    /// <exception cref="EngineException">Kind ModelFolder: the file is malformed, or has other shapes.</exception>
    public static EmbeddingHead? Load(string folder, string name, int? outFeatures, int inFeatures, IDeviceOps ops, ScalarType type)
    {
        if (CheckpointFolder.HeadIn(folder, name) is not { } file)
            return null;
        using var scope = NewDisposeScope();
        var path = Path.Combine(folder, file);
        using IWeightFile weights = CheckpointFolder.IsPickle(file) ? TorchPickleFile.Open(path) : SafetensorsFile.Open(path);
        if (!weights.Tensors.TryGetValue("weight", out var weight) || !weights.Tensors.TryGetValue("bias", out var bias) || weights.Tensors.Count != 2)
            throw EngineException.ModelFolder(file, $"has the tensors {string.Join(", ", weights.Tensors.Keys.Take(4).Select(ModelFolderProblems.Quote))}; wanted weight and bias");
        var outputs = outFeatures ?? (weight.Shape is [var rows, _] ? rows : 0);
        if (weight.Shape is not [var given, var width] || given != outputs || width != inFeatures || bias.Shape is not [var biases] || biases != outputs)
            throw EngineException.ModelFolder(file, $"weight is [{string.Join(", ", weight.Shape)}] and bias [{string.Join(", ", bias.Shape)}]; wanted [{outFeatures?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "n"}, {inFeatures}] and as many biases");
        return new(ops, ops.PackLinear(weights.ReadTensor(weight).to(type), weights.ReadTensor(bias).to(type)));
    }

    /// <summary>[rows, in] → [rows, out].</summary>
    public Tensor Forward(Tensor x) => _ops.Linear(x, _weight);

    /// <inheritdoc/>
    public void Dispose() => _weight.Dispose();
}
