namespace LocalLlm.Parallel;

/// <summary>Finds the faults of a way to spread a model, before any weights are read. Pure. Rules and words are vLLM's (its
/// <c>ParallelConfig</c> and <c>ModelConfig.verify_with_parallel_config</c>) where it has them.</summary>
internal static class ParallelRules
{
    /// <summary>A larger number of ranks is taken for a mistake.</summary>
    public const int MaxRanks = 1024;

    private const int MaxListed = 12;

    /// <summary>Every fault that can be found without the model.</summary>
    public static IEnumerable<ParallelFault> FaultsOf(ParallelRequest request)
    {
        if (Range("tensor_parallel_size", request.TensorParallel) is { } tensor)
            yield return tensor;
        if (Range("pipeline_parallel_size", request.PipelineParallel) is { } pipeline)
            yield return pipeline;
        if (Range("data_parallel_size", request.DataParallel) is { } data)
            yield return data;
        if (Range("nnodes", request.Nodes) is { } nodes)
            yield return nodes;
        foreach (var fault in FaultsOfLists(request))
            yield return fault;
        foreach (var fault in FaultsOfGroups(request).Concat(BalancingRules.FaultsOf(request)))
            yield return fault;
        if (AreCounts(request))
        {
            foreach (var fault in FaultsOfPlaces(request))
                yield return fault;
        }
    }

    /// <summary>Every fault, of the request itself and with the model.</summary>
    public static IReadOnlyList<ParallelFault> FaultsOf(ParallelRequest request, SplitShape shape) =>
        [.. FaultsOf(request), .. FaultsOfModel(request, shape), .. BalancingRules.FaultsOf(request, shape)];

    private static IEnumerable<ParallelFault> FaultsOfModel(ParallelRequest request, SplitShape shape)
    {
        var (tensor, pipeline) = (request.TensorParallel, request.PipelineParallel);
        if (Range("tensor_parallel_size", tensor) is null && shape.FaultsOfTensorParallel(tensor).ToArray() is { Length: > 0 } reasons)
            yield return new("tensor_parallel_size", $"is {tensor}, but {string.Join(", and ", reasons)}; allowed for this model: {List(shape.TensorParallelSizes())}");
        if (AreCounts(request) && shape.FaultsOfDataParallel(tensor, request.DataParallel).ToArray() is { Length: > 0 } unshared)
            yield return new("data_parallel_size", $"is {request.DataParallel}, but {string.Join(", and ", unshared)}");
        if (request.ExpertParallel && shape.Experts == 0)
            yield return new("enable_expert_parallel", "is set, but the model has no experts; leave it out");
        else if (request.ExpertParallel && AreCounts(request) && tensor * request.DataParallel > shape.Experts)
            yield return new("enable_expert_parallel", $"is set, but the model's {shape.Experts} experts are fewer than the {tensor * request.DataParallel} ranks of a stage; leave it out");
        if (Range("pipeline_parallel_size", pipeline) is null && pipeline > shape.Layers)
            yield return new("pipeline_parallel_size", $"is {pipeline}, but the model has {shape.Layers} layers, and every stage needs one; allowed: 1 to {shape.Layers}");
        if (request.LayersPerStage is { } layers && layers.All(count => count >= 1) && layers.Sum(count => (long)count) is var sum && sum != shape.Layers)
            yield return new("pipeline_layers", $"({string.Join(",", layers.Take(MaxListed))}) add up to {sum}, but the model has {shape.Layers} layers");
    }

    private static IEnumerable<ParallelFault> FaultsOfLists(ParallelRequest request)
    {
        if (request.LayersPerStage is { } layers)
        {
            if (layers.Count != request.PipelineParallel)
                yield return new("pipeline_layers", $"names {Counted(layers.Count, "stage")}, but pipeline_parallel_size is {request.PipelineParallel}; give one count of layers for each stage");
            if (layers.Any(count => count < 1))
                yield return new("pipeline_layers", $"gives a stage {layers.First(count => count < 1)} layers; allowed: 1 or more");
        }
    }

    // Features that this build supports only with one group.
    private static IEnumerable<ParallelFault> FaultsOfGroups(ParallelRequest request)
    {
        if (request.DataParallel <= 1)
            yield break;
        if (request.Nodes > 1)
            yield return new("data_parallel_size", $"is {request.DataParallel}, but nnodes is {request.Nodes}: the groups of this build run on one node; set nnodes to 1, or data_parallel_size to 1");
        if (request.UsesProcesses)
            yield return new("data_parallel_size", $"is {request.DataParallel}, but distributed_executor_backend is processes: the groups of this build are threads of one process; set it to threads");
        if (request.Predicts)
            yield return new("data_parallel_size", $"is {request.DataParallel}, but speculative_config has the method mtp, which this build has for one group only; use ngram, or leave speculative_config out");
    }

    private static IEnumerable<ParallelFault> FaultsOfPlaces(ParallelRequest request)
    {
        var (tensor, pipeline, nodes) = (request.TensorParallel, request.PipelineParallel, request.Nodes);
        var world = (int)request.WorldSize;
        if (world % nodes != 0)
        {
            yield return new("nnodes", $"is {nodes}, but the plan has {Counted(world, "rank")} ({Sizes(request)}), which {(world == 1 ? "is" : "are")} not divisible by {nodes}; every node runs as many ranks as the others");
            yield break;
        }

        var each = world / nodes;
        if (each % tensor != 0)
            yield return new("tensor_parallel_size", $"is {tensor}, but each of the {nodes} nodes runs {each} of {Ranks(request)}, so that every layer would be split over several nodes; split layers inside a node (at most {each}), and stages (pipeline_parallel_size) across nodes");
        if (request.DevicesPerNode is { } have && each > have)
            yield return new(tensor > have || pipeline == 1 ? "tensor_parallel_size" : "pipeline_parallel_size", TooFew(request, each, have)) { Subject = Sizes(request) };
        if (request.Devices is { } devices && devices.Count != each)
            yield return new("devices", $"names {Counted(devices.Count, "device")}, but {(nodes > 1 ? "every node runs" : each == 1 ? "there is" : "there are")} {Counted(each, "rank")} ({tensor} x {pipeline}{(request.DataParallel == 1 ? "" : $" x {request.DataParallel}")}{(nodes == 1 ? "" : $" over {nodes} nodes")}); name one for each");
    }

    private static string TooFew(ParallelRequest request, int each, int have) =>
        $"needs {Counted(each, "device")}{(request.Nodes == 1 ? "" : " on each node")}, but "
        + (request.Nodes == 1 ? $"this node has {have}, and nnodes is 1" : $"a node has {have}, and nnodes is {request.Nodes}");

    private static bool AreCounts(ParallelRequest request) =>
        Range("", request.TensorParallel) is null && Range("", request.PipelineParallel) is null && Range("", request.DataParallel) is null
        && Range("", request.Nodes) is null && request.WorldSize <= MaxRanks * MaxRanks;

    private static ParallelFault? Range(string option, int value) =>
        value is >= 1 and <= MaxRanks ? null : new(option, $"is {value}; allowed: 1 to {MaxRanks}");

    private static string Ranks(ParallelRequest request) =>
        $"the {request.WorldSize} ranks ({Sizes(request)})";

    private static string Sizes(ParallelRequest request) =>
        $"tensor_parallel_size {request.TensorParallel} x pipeline_parallel_size {request.PipelineParallel}"
        + (request.DataParallel == 1 ? "" : $" x data_parallel_size {request.DataParallel}");

    private static string List(IEnumerable<int> sizes)
    {
        var all = sizes.ToArray();
        return string.Join(", ", all.Take(MaxListed)) + (all.Length > MaxListed ? ", …" : "");
    }

    private static string Counted(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";
}
