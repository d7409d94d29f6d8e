using LocalLlm.Hub;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Planning;

namespace LocalLlm;

/// <summary>Plans a model on devices from its configuration alone. The devices need not exist. The planner reads no weights, and unless it
/// plans for this machine's devices, it touches neither libtorch nor a driver.</summary>
public static class ModelPlanner
{
    /// <summary>Plans a model. If the plan does not fit or is impossible, it states the faults and what would fit.</summary>
    /// <param name="request">What to plan.</param>
    /// <param name="cancellationToken">Cancels planning.</param>
    /// <exception cref="EngineException">InvalidOptions: options that are invalid on any device. ModelFolder: a faulty config.json.
    /// Environment: the hub or the network failed.</exception>
    public static async Task<ModelPlan> PlanAsync(ModelPlanRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var options = request.Options;
        // The plan reports faults of sizes and placements itself, together with what would fit.
        EngineOptionsValidator.ValidateOptions(options with { TensorParallel = 1, PipelineParallel = 1, DataParallel = 1, Nodes = 1, Devices = null, PipelineLayers = null, ExpertBalancing = null });
        if (DeviceOptions.FaultsOf(options).ToArray() is [var first, ..] faults)
            throw new EngineException(EngineErrorKind.InvalidOptions, string.Join("; ", faults.Select(fault => $"{fault.Name} {fault.Message}")) + ".", first.Name);
        Require(request);
        var hub = ModelSource.HubOptionsOf(options.Hub, options.Revision, options.DownloadDir, options.HubVariables);
        var model = await PlannedModel.ReadAsync(options, hub, cancellationToken).ConfigureAwait(false);
        return new PlanBuilder(request with { Name = LlmEngine.NameOf(options) }, model).Build();
    }

    /// <summary>Whether the plan must be an estimate from the configuration: for several ranks, or for a model that is not on this machine
    /// or has no weights here. Otherwise <see cref="LlmEngine.PlanMemory"/> is more exact.</summary>
    /// <param name="options">Checked options.</param>
    public static bool NeedsEstimate(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options is not { TensorParallel: 1, PipelineParallel: 1, DataParallel: 1, Nodes: 1, PipelineLayers: null, Devices: null })
            return true;
        return ModelReference.Remote(options.ModelPath) is { } remote
            ? !ModelHub.IsCached(remote, ModelSource.HubOptionsOf(options.Hub, options.Revision, options.DownloadDir, options.HubVariables))
            : HasConfigAlone(HubCache.Resolve(options.ModelPath));
    }

    // Any other file shows what kind of folder it is.
    private static bool HasConfigAlone(string folder) =>
        File.Exists(Path.Combine(folder, ModelConfig.FileName)) && Directory.EnumerateFileSystemEntries(folder).All(entry =>
            File.Exists(entry) && !Path.GetFileName(entry).StartsWith("tokenizer", StringComparison.Ordinal) && Path.GetExtension(entry) is ".json" or ".jinja" or ".txt" or ".md");

    private static void Require(ModelPlanRequest request)
    {
        if (request.DevicesPerNode is < 1 or > ParallelRules.MaxRanks)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"gpus_per_node is {request.DevicesPerNode}; allowed: 1 to {ParallelRules.MaxRanks}.", "gpus_per_node");
        foreach (var card in request.Cards)
        {
            if (card.MemoryBytes < 1 << 20)
                throw new EngineException(EngineErrorKind.InvalidOptions, $"gpu_memory is {card.MemoryBytes} bytes; at least 1 MiB: give it with a unit, such as 80GiB.", "gpu_memory");
        }

        if (!request.ChoosesPlan && request.Cards.Count > 1 && request.Cards.Count != request.Options.PipelineParallel)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"gpu names {request.Cards.Count} kinds, but pipeline_parallel_size is {request.Options.PipelineParallel}; name one kind, or one for each stage.",
                "gpu");
        }
    }
}
