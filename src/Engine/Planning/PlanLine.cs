using System.Globalization;

namespace LocalLlm.Planning;

/// <summary>Writes the command line that serves a model as planned, with every option that decides how its memory is used.</summary>
/// <param name="options">The user's options.</param>
/// <param name="dtype">The requested or chosen type; <c>auto</c>: the checkpoint's own.</param>
/// <param name="isHere">Whether the plan is for this machine's devices, so that their names matter.</param>
internal sealed class PlanLine(EngineOptions options, string dtype, bool isHere)
{
    /// <summary>The command line of a plan that fits.</summary>
    /// <param name="estimate">The plan.</param>
    /// <param name="isMixed">Whether stages have different kinds of devices. If so, the line names the plan's layers per stage instead of
    /// an even split.</param>
    public string Of(CapacityEstimate estimate, bool isMixed)
    {
        var plan = estimate.Plan;
        var words = new List<string>();
        if (isHere && options.Devices is { } devices && devices.Count >= plan.RanksPerNode)
            Add("--devices", string.Join(',', devices.Take(plan.RanksPerNode)));
        else if (isHere && options.Device != "auto")
            Add("--device", options.Device);
        if (isHere && options.CudaArch is { } architecture)
            Add("--cuda-arch", architecture);
        if (dtype != "auto")
            Add("--dtype", dtype);
        if (options.MaxModelLen is { } length)
            Add("--max-model-len", length);
        if (plan.PipelineParallel > 1 && plan.LayersPerStage is { } layers && (isMixed || layers.SequenceEqual(options.PipelineLayers ?? [])))
            Add("--pipeline-layers", string.Join(',', layers));
        if (options.GpuMemoryUtilization is { } share)
            Add("--gpu-memory-utilization", share);
        if (options.GpuMemoryBytes is { } memory)
            Add("--gpu-memory", memory);
        if (options.MaxNumSeqs is { } sequences)
            Add("--max-num-seqs", sequences);
        if (options.MaxNumBatchedTokens is { } tokens)
            Add("--max-num-batched-tokens", tokens);
        if (options.EnableExpertParallel)
            words.Add("--enable-expert-parallel");
        if (options.ExpertBalancing is { } balancing && plan.RanksPerStage > 1)
            words.AddRange(["--enable-eplb", "--eplb-config", $"'{balancing.ToJson()}'"]);
        if (options.Speculation is { } speculation)
            Add("--speculative-config", $"'{speculation.ToJson()}'");
        if (options.EnforceEager)
            words.Add("--enforce-eager");
        if (options.Quantization is { } quantization)
            Add("--quantization", quantization);
        if (options.KvCacheDtype != "auto")
            Add("--kv-cache-dtype", options.KvCacheDtype);
        if (options.BatchInvariant)
            words.Add("--batch-invariant");
        if (options.KvCacheMemoryBytes is { } bytes)
            Add("--kv-cache-memory-bytes", bytes);
        if (options.NumGpuBlocksOverride is { } blocks)
            Add("--num-gpu-blocks-override", blocks);
        return PlanTexts.CommandLine(options.ModelPath, plan, [.. words, .. estimate.Settings.Arguments]);

        void Add(string option, IConvertible value) => words.AddRange([option, value.ToString(CultureInfo.InvariantCulture)]);
    }
}
