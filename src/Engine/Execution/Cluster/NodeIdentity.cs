using System.Buffers.Binary;
using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using LocalLlm.Execution.Wire;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>What a process says of itself when it joins, and how two of them are compared.</summary>
internal static class NodeIdentity
{
    // Headers of safetensors files are at most 100 MB long.
    private const long MaxHeader = 100_000_000;

    /// <summary>Of this process.</summary>
    /// <param name="options">What it was started with.</param>
    /// <param name="plan">How the model is spread.</param>
    /// <param name="node">Which node it is.</param>
    public static NodeHello Of(EngineOptions options, ParallelPlan plan, int node) => new()
    {
        Version = EngineVersion,
        StepFormat = StepFormat.Version,
        Node = node,
        Host = Environment.MachineName,
        ProcessId = Environment.ProcessId,
        Cards = [.. DevicesOf(options, plan, node).Select(DeviceRegistry.IdentityOf).OfType<string>().Distinct()],
        Files = FilesOf(options),
        Options = new(StringComparer.Ordinal)
        {
            ["tensor_parallel_size"] = Text(plan.TensorParallel),
            ["pipeline_parallel_size"] = Text(plan.PipelineParallel),
            ["enable_expert_parallel"] = options.EnableExpertParallel.ToString(),
            ["nnodes"] = Text(plan.Nodes),
            ["layers of the stages"] = plan.LayersPerStage is { } layers ? string.Join(',', layers) : "even",
            ["device"] = ProcessDevices.AreGpus(NodeRanks.DevicesOf(options, plan.RanksPerNode)) ? "cuda" : "cpu", // what auto is here
            ["cuda_arch"] = CudaArchitecture.Asked(options.CudaArch) is { } architecture ? Text(architecture) : "the card's own",
            ["dtype"] = options.Dtype,
            ["load_format"] = options.LoadFormat,
            ["kv_cache_dtype"] = options.KvCacheDtype,
            ["batch_invariant"] = options.BatchInvariant.ToString(),
            ["max_model_len"] = options.MaxModelLen is { } length ? Text(length) : "auto",
            ["max_num_seqs"] = Text(options.RunningSequences),
            ["max_num_batched_tokens"] = Text(options.StepTokens),
            ["speculative method"] = options.Speculation?.Method ?? "none",
            ["num_speculative_tokens"] = Text(options.Speculation?.NumSpeculativeTokens ?? 0),
            ["logprobs_mode"] = options.LogprobsMode.ToString(),
            ["enforce_eager"] = options.EnforceEager.ToString(),
            [GpuRanks.BetweenNodesVariable] = GpuRanks.ConnectsNodes.ToString(),
        },
    };

    /// <summary>Says why <paramref name="other"/> cannot join <paramref name="own"/>; null: it can.</summary>
    /// <param name="own">Node 0.</param>
    /// <param name="other">The node that joins.</param>
    public static string? Difference(NodeHello own, NodeHello other)
    {
        if (own.Version != other.Version || own.StepFormat != other.StepFormat)
            return $"it runs version {other.Version} (step format {other.StepFormat}), but node 0 runs {own.Version} (step format {own.StepFormat}): install the same build on all nodes";
        if (Different(own.Options, other.Options) is { } option)
        {
            // Node 0 logs the message, too: "here" would be the wrong node there.
            return $"its {option} is {other.Options.GetValueOrDefault(option) ?? "unset"}, and node 0's is "
                + $"{own.Options.GetValueOrDefault(option) ?? "unset"}: start all nodes with the same options";
        }

        if (Different(own.Files, other.Files) is { } file)
            return $"its model is not the same: {file} {(other.Files.ContainsKey(file) ? own.Files.ContainsKey(file) ? "differs from node 0's" : "is not on node 0" : "is missing there")}; copy the same folder to all nodes";
        return null;
    }

    /// <summary>Says which card of <paramref name="other"/> another node already uses; null: none.</summary>
    /// <param name="layout">Names the nodes.</param>
    /// <param name="holders">Those that hold ranks.</param>
    /// <param name="other">Who joins. Nodes of one process share what they will.</param>
    public static string? SharedCard(ClusterLayout layout, IEnumerable<NodeHello> holders, NodeHello other)
    {
        foreach (var holder in holders.Where(holder => (holder.Host, holder.ProcessId) != (other.Host, other.ProcessId)))
        {
            if (other.Cards.Intersect(holder.Cards).FirstOrDefault() is { } card)
            {
                return $"its {card} is the card of {layout.NameOf(holder.Node)} on {holder.Host}, process {holder.ProcessId}, too: "
                    + "give nodes of one machine cards of their own, by CUDA_VISIBLE_DEVICES or --device cuda:N, or run all of their "
                    + "ranks in one process";
            }
        }

        return null;
    }

    /// <summary>The engine's version, with the commit where the build knows it.</summary>
    public static string EngineVersion { get; } =
        typeof(NodeIdentity).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    private static string? Different(SortedDictionary<string, string> own, SortedDictionary<string, string> other) =>
        own.Keys.Union(other.Keys).FirstOrDefault(key => own.GetValueOrDefault(key) != other.GetValueOrDefault(key));

    // By name, those of its ranks.
    private static IReadOnlyList<string> DevicesOf(EngineOptions options, ParallelPlan plan, int node) =>
        options.UsesProcesses ? [ProcessDevices.Of(options)[node]] : NodeRanks.DevicesOf(options, plan.RanksPerNode);

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);

    // Not the weights themselves, which would be read twice: their headers say names, types, shapes and places, and the files' lengths are
    // theirs.
    private static SortedDictionary<string, string> FilesOf(EngineOptions options)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in (string[])["config.json", "tokenizer.json"])
        {
            var path = Path.Combine(options.ModelPath, name);
            if (File.Exists(path))
                files[name] = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
        }

        if (options.UsesDummyWeights)
            return files;
        foreach (var path in Directory.EnumerateFiles(options.ModelPath, "*.safetensors"))
            files[Path.GetFileName(path)] = HeaderHash(path);
        foreach (var path in Directory.EnumerateFiles(options.ModelPath, "*.bin"))
            files[Path.GetFileName(path)] = $"{new FileInfo(path).Length} bytes";
        return files;
    }

    private static string HeaderHash(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> length = stackalloc byte[sizeof(long)];
        file.ReadAtLeast(length, length.Length, throwOnEndOfStream: false);
        var header = new byte[Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(length), 0, Math.Min(MaxHeader, file.Length - file.Position))];
        file.ReadExactly(header);
        return $"{Convert.ToHexStringLower(SHA256.HashData(header))}, {file.Length} bytes";
    }
}
