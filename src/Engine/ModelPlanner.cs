using LocalLlm.Hub;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Planning;

namespace LocalLlm;

/// <summary>Plans a model on devices, which need not be there, from its configuration alone: no weight is read, and without this machine's
/// devices neither libtorch nor a driver is touched.</summary>
public static class ModelPlanner
{
    /// <summary>The plan. One that does not fit, or is not possible, is a plan too: its faults and what would fit.</summary>
    /// <param name="request">What is to be planned.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="EngineException">InvalidOptions: options that make no sense whatever the devices. ModelFolder: config.json.
    /// Environment: the hub, the network.</exception>
    public static async Task<ModelPlan> PlanAsync(ModelPlanRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        var options = request.Options;
        // Sizes and places have errors of their own, with what would fit.
        EngineOptionsValidator.ValidateOptions(options with { TensorParallel = 1, PipelineParallel = 1, DataParallel = 1, Nodes = 1, Devices = null, PipelineLayers = null, ExpertBalancing = null });
        if (DeviceOptions.FaultsOf(options).ToArray() is [var first, ..] faults)
            throw new EngineException(EngineErrorKind.InvalidOptions, string.Join("; ", faults.Select(fault => $"{fault.Name} {fault.Message}")) + ".", first.Name);
        Require(request);
        var hub = ModelSource.HubOptionsOf(options.Hub, options.Revision, options.DownloadDir, options.HubVariables);
        var model = await PlannedModel.ReadAsync(options, hub, cancellationToken).ConfigureAwait(false);
        return new PlanBuilder(request with { Name = LlmEngine.NameOf(options) }, model).Build();
    }

    /// <summary>Whether only an estimate is possible, or wanted: of a model that is not on this machine or has no weights there, and of
    /// several ranks. Else <see cref="LlmEngine.PlanMemory"/> knows more.</summary>
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

    // Whatever else a folder has tells what it is.
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
