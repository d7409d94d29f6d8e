using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>How far loading is.</summary>
/// <param name="BytesDone">Bytes read.</param>
/// <param name="BytesTotal">Bytes to read.</param>
internal readonly record struct WeightProgress(long BytesDone, long BytesTotal);

/// <summary>Fills what a <see cref="WeightRegistry"/> asks for from a checkpoint; converts to the activation type.</summary>
internal static unsafe class WeightLoader
{
    private const int MaxProblemsListed = 20;

    /// <summary>Checks names, shapes and types of the whole model first, then reads group after group.</summary>
    /// <exception cref="EngineException">Kind ModelFolder: every missing, unexpected and mis-shaped tensor in one message.</exception>
    public static void Load(WeightRegistry registry, Checkpoint checkpoint, ScalarType activationType, IProgress<WeightProgress>? progress, CancellationToken cancellationToken)
    {
        Check(registry, checkpoint);
        var total = registry.Groups.Sum(GroupBytes);
        long done = 0;
        progress?.Report(new(0, total));
        foreach (var group in registry.Groups)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using (NewDisposeScope())
            {
                var parts = group.Parts.Select(part => Read(checkpoint, part).to(activationType)).ToArray();
                group.Accept(parts.Length == 1 ? parts[0] : cat(parts, 0));
            }

            done += GroupBytes(group);
            progress?.Report(new(done, total));
        }

        long GroupBytes(WeightGroup group) => group.Parts.Sum(part => checkpoint.Tensors[part.Name].Info.ByteLength / part.Shape[part.Dimension] * part.Length);
    }

    private static void Check(WeightRegistry registry, Checkpoint checkpoint)
    {
        var problems = new List<string>();
        var wanted = new HashSet<string>();
        foreach (var part in registry.Groups.SelectMany(group => group.Parts))
        {
            if (!wanted.Add(part.Name))
                continue;
            if (!checkpoint.TryGet(part.Name, out var tensor))
                problems.Add($"missing {part.Name} {Text(part.Shape)}");
            else if (!tensor.Info.Shape.AsSpan().SequenceEqual(part.Shape))
                problems.Add($"{part.Name} has shape {Text(tensor.Info.Shape)}, wanted {Text(part.Shape)}");
            else if (Type(tensor.Info.Dtype) is null)
                problems.Add($"{part.Name} has type {tensor.Info.Dtype.Name()}, wanted F32, F16 or BF16");
        }

        problems.AddRange(checkpoint.Tensors.Keys.Where(name => !wanted.Contains(name) && !registry.IsIgnored(name)).Order(StringComparer.Ordinal).Select(name => $"unexpected {ModelFolderProblems.Quote(name)}"));
        if (problems.Count == 0)
            return;
        var listed = string.Join("; ", problems.Take(MaxProblemsListed));
        var rest = problems.Count > MaxProblemsListed ? $"; and {problems.Count - MaxProblemsListed} more" : "";
        throw EngineException.ModelFolder("model.safetensors", $"the weights do not fit config.json ({problems.Count} tensors): {listed}{rest}. Check that both come from the same model.");
    }

    // A copy: nothing refers to the mapped file after loading, so that it may change or vanish.
    private static Tensor Read(Checkpoint checkpoint, WeightPart part)
    {
        var tensor = checkpoint.Tensors[part.Name];
        var type = Type(tensor.Info.Dtype)!.Value;
        var result = empty(part.SliceShape, type);
        // A slice of dimension 0 is one run of bytes; one of dimension 1 is a run in every row.
        var runs = part.Dimension == 0 ? 1 : part.Shape[0];
        var stride = tensor.Info.ByteLength / runs;
        var indexBytes = stride / part.Shape[part.Dimension];
        var runBytes = indexBytes * part.Length;
        var source = tensor.Pointer + (indexBytes * part.Start);
        var target = (byte*)result.DataPointer();
        for (long run = 0; run < runs; run++)
            Buffer.MemoryCopy(source + (run * stride), target + (run * runBytes), runBytes, runBytes);
        return result;
    }

    private static ScalarType? Type(SafetensorsDtype dtype) => dtype switch
    {
        SafetensorsDtype.F32 => ScalarType.Float32,
        SafetensorsDtype.F16 => ScalarType.Float16,
        SafetensorsDtype.BF16 => ScalarType.BFloat16,
        _ => null,
    };

    private static string Text(long[] shape) => $"[{string.Join(", ", shape)}]";
}
