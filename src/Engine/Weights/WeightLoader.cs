using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace LocalLlm.Weights;

/// <summary>The progress of loading.</summary>
/// <param name="BytesDone">Bytes read.</param>
/// <param name="BytesTotal">Bytes to read.</param>
internal readonly record struct WeightProgress(long BytesDone, long BytesTotal);

/// <summary>
/// Loads what a <see cref="WeightRegistry"/> asks for from a checkpoint, and converts each tensor as its <see cref="WeightType"/> says.
/// </summary>
internal static partial class WeightLoader
{
    private const int MaxProblemsListed = 20;

    /// <summary>Checks names, shapes and types of the whole model, then reads one group after another.</summary>
    /// <param name="registry">What the model needs.</param>
    /// <param name="checkpoint">The files to read from.</param>
    /// <param name="activationType">The type that <see cref="WeightType.Activation"/> is converted to.</param>
    /// <param name="packing">Which copies of matrices to keep.</param>
    /// <param name="staging">Moves weights to the device; null: tensors are read into host memory.</param>
    /// <param name="progress">Receives a report after every chunk.</param>
    /// <param name="cancellationToken">Ends loading.</param>
    /// <param name="logger">Gets one warning about unread tensors and about an index that disagrees with its files; or null.</param>
    /// <exception cref="EngineException">Kind ModelFolder: every missing, unexpected and mis-shaped tensor in one message; or a file that
    /// cannot be read.</exception>
    public static void Load(
        WeightRegistry registry, Checkpoint checkpoint, ScalarType activationType, IWeightStaging? staging, IProgress<WeightProgress>? progress,
        CancellationToken cancellationToken, ILogger? logger = null, WeightPacking packing = WeightPacking.Compact)
    {
        Check(registry, checkpoint, logger);
        using var host = staging is null ? new HostStaging() : null;
        staging ??= host!;
        var chunks = new List<WeightChunk>();
        // A tensor that two layers need alike (an embedding and its tied head) is read once.
        var alike = registry.Groups.GroupBy(group => group.Key).Select(groups => groups.ToList())
            // Scales are small, so they are read first and their faults are reported before a whole model is read.
            .OrderBy(groups => groups[0].Type == WeightType.Scale ? 0 : 1).ToList();
        var faults = new ModelFolderProblems(checkpoint.FileName);
        foreach (var spec in alike.SelectMany(groups => groups[0].Specs))
            AddChunks(chunks, new SliceReader(checkpoint, spec), staging.BufferBytes);
        var total = chunks.Sum(chunk => (long)chunk.Bytes);
        progress?.Report(new(0, total));
        using var pipeline = new ChunkPipeline(chunks, staging, cancellationToken);
        var sender = new Sender(chunks, pipeline, staging, progress, total);
        foreach (var groups in alike)
        {
            using var scope = NewDisposeScope();
            if (groups[0].Type != WeightType.Scale)
                faults.ThrowIfAny();
            var tensor = Read(groups[0], checkpoint, staging, sender, activationType);
            if (groups[0].FaultOf?.Invoke(tensor) is { } fault)
            {
                faults.Add(fault);
                continue;
            }

            foreach (var group in groups)
                group.Accept(tensor, packing);
        }

        faults.ThrowIfAny();
    }

    /// <summary>Checks that a checkpoint holds a model's weights, without reading them. Opens further files of the folder if tensors are
    /// missing.</summary>
    /// <param name="registry">What the model needs.</param>
    /// <param name="checkpoint">The files to check.</param>
    /// <param name="logger">As for <see cref="Load"/>.</param>
    /// <exception cref="EngineException">Kind ModelFolder: every missing, unexpected and mis-shaped tensor in one message.</exception>
    public static void Check(WeightRegistry registry, Checkpoint checkpoint, ILogger? logger) => Warn(checkpoint, Check(registry, checkpoint), logger);

    private static void AddChunks(List<WeightChunk> chunks, SliceReader slice, int most)
    {
        for (long start = 0; start < slice.ByteLength; start += most)
            chunks.Add(new(slice, start, (int)Math.Min(most, slice.ByteLength - start)));
    }

    // Joins the tensors of a group. If they are stored in one type, they are read directly into one tensor.
    private static Tensor Read(WeightGroup group, Checkpoint checkpoint, IWeightStaging staging, Sender sender, ScalarType activationType)
    {
        var stored = group.Specs.Select(spec => checkpoint.Tensors[spec.Name].Info.Dtype).ToArray();
        if (stored.Distinct().Count() > 1)
        {
            var parts = group.Specs.Select((spec, i) => group.Type.Convert(
                Read(staging.Allocate(spec.SliceShape, TypeOf(stored[i])), [spec], checkpoint, sender), stored[i], activationType));
            return cat([.. parts], 0);
        }

        long[] shape = [group.Specs.Sum(spec => spec.SliceShape[0]), .. group.Specs[0].SliceShape[1..]];
        return group.Type.Convert(Read(staging.Allocate(shape, TypeOf(stored[0])), group.Specs, checkpoint, sender), stored[0], activationType);

        static ScalarType TypeOf(SafetensorsDtype dtype) => WeightType.ScalarTypeOf(dtype)!.Value;
    }

    private static Tensor Read(Tensor target, IReadOnlyList<WeightSpec> specs, Checkpoint checkpoint, Sender sender)
    {
        long offset = 0;
        foreach (var spec in specs)
            offset += sender.Send(new SliceReader(checkpoint, spec).ByteLength, target, offset);
        return target;
    }

    // Returns the tensors of modules that the model does not have.
    private static List<string> Check(WeightRegistry registry, Checkpoint checkpoint)
    {
        var problems = new List<string>();
        var wanted = new HashSet<string>();
        var missing = registry.Groups.SelectMany(group => group.Specs).Select(spec => spec.Name)
            .Where(name => !checkpoint.TryGet(name, out _)).ToHashSet(StringComparer.Ordinal);
        var unreadable = missing.Count > 0 ? checkpoint.LookFurther(missing) : [];
        foreach (var spec in registry.Groups.SelectMany(group => group.Specs))
        {
            if (!wanted.Add(spec.Name))
                continue;
            if (!checkpoint.TryGet(spec.Name, out var tensor))
                problems.Add($"missing {spec.Name} {Text(spec.Shape)}{checkpoint.Differences?.Explain(spec.Name)}");
            else if (!spec.Type.Takes(tensor.Info.Dtype))
                problems.Add($"{spec.Name} has type {tensor.Info.TypeName}, wanted {spec.Type.Wanted}");
            else if (!tensor.Info.Shape.AsSpan().SequenceEqual(spec.Shape))
                problems.Add($"{spec.Name} has shape {Text(tensor.Info.Shape)}, wanted {Text(spec.Shape)}");
        }

        var modules = new ModelModules(wanted);
        var left = checkpoint.Tensors.Keys.Where(name => !wanted.Contains(name) && !registry.IsIgnored(name)).ToLookup(modules.Concerns);
        problems.AddRange(left[true].Order(StringComparer.Ordinal).Select(name => $"unexpected {ModelFolderProblems.Quote(name)}"));
        if (problems.Count == 0)
            return [.. left[false]];
        // The missing tensors may be in the unreadable files.
        problems.AddRange(missing.All(name => checkpoint.TryGet(name, out _)) ? [] : unreadable);
        var listed = string.Join("; ", problems.Take(MaxProblemsListed));
        var rest = problems.Count > MaxProblemsListed ? $"; and {problems.Count - MaxProblemsListed} more" : "";
        throw EngineException.ModelFolder(checkpoint.FileName, $"the weights do not fit config.json ({problems.Count} problems): {listed}{rest}. Check that both come from the same model.");
    }

    private static void Warn(Checkpoint checkpoint, List<string> unread, ILogger? logger)
    {
        List<string> sentences = [.. checkpoint.Differences?.Sentences() ?? []];
        if (unread.Count > 0)
            sentences.Add($"{IndexDifferences.Counted(unread, "tensor", "tensors")} of parts that this model does not have {(unread.Count == 1 ? "was" : "were")} not read");
        if (logger is not null && sentences.Count > 0)
            LogDifferences(logger, checkpoint.FileName, string.Join("; ", sentences));
    }

    [LoggerMessage(20, LogLevel.Warning, "{File}: {Differences}. All that the model needs is there.")]
    private static partial void LogDifferences(ILogger logger, string file, string differences);

    private static string Text(long[] shape) => $"[{string.Join(", ", shape)}]";

    // Takes the chunks in order and sends each one. A buffer is released after the copy of the next one has been started.
    private sealed class Sender(List<WeightChunk> chunks, ChunkPipeline pipeline, IWeightStaging staging, IProgress<WeightProgress>? progress, long total)
    {
        private int _next;
        private int _sent = -1; // the buffer that is being copied
        private long _done;

        // Sends the next chunks, "bytes" in total, to one position in a tensor.
        public long Send(long bytes, Tensor target, long offset)
        {
            for (long sent = 0; sent < bytes;)
            {
                var count = chunks[_next++].Bytes;
                var buffer = pipeline.Take();
                staging.Send(buffer, count, target, offset + sent);
                if (_sent >= 0)
                {
                    staging.WaitSent(_sent);
                    pipeline.Release(_sent);
                }

                _sent = buffer;
                sent += count;
                _done += count;
                progress?.Report(new(_done, total));
            }

            return bytes;
        }
    }
}
