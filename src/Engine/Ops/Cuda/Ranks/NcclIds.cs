using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// The ids of all communicators between nodes. The first node creates them and sends their bytes to the other nodes.
/// </summary>
internal sealed class NcclIds
{
    private readonly ParallelPlan _plan;
    private readonly byte[] _bytes; // one id for each stage's group, then one for the link of each rank that sends

    private NcclIds(ParallelPlan plan, byte[] bytes) => (_plan, _bytes) = (plan, bytes);

    /// <summary>The bytes to send to the other nodes.</summary>
    public ReadOnlyMemory<byte> Bytes => _bytes;

    /// <summary>Creates new ids.</summary>
    /// <param name="library">NCCL.</param>
    /// <param name="plan">How the model is spread over ranks.</param>
    public static NcclIds Create(NcclLibrary library, ParallelPlan plan) =>
        new(plan, [.. Enumerable.Range(0, CountOf(plan)).SelectMany(_ => library.CreateUniqueId().ToBytes())]);

    /// <summary>Reads the ids that another node has created.</summary>
    /// <exception cref="EngineException">Kind Environment: the bytes do not belong to this plan.</exception>
    public static NcclIds From(ParallelPlan plan, ReadOnlySpan<byte> bytes) => bytes.Length == CountOf(plan) * NcclLibrary.UniqueId.Length
        ? new(plan, bytes.ToArray())
        : throw new EngineException(
            EngineErrorKind.Environment,
            $"{bytes.Length} bytes of communicator ids came for a plan of {CountOf(plan)}; start all nodes with the same sizes.");

    /// <summary>The id of the tensor-parallel group of a stage.</summary>
    public NcclLibrary.UniqueId Group(int stage) => At(stage);

    /// <summary>The id of the link that a rank sends on.</summary>
    public NcclLibrary.UniqueId Link(int from) => At(_plan.PipelineParallel + from);

    private static int CountOf(ParallelPlan plan) => plan.PipelineParallel + (plan.WorldSize - plan.TensorParallel);

    private NcclLibrary.UniqueId At(int index) => NcclLibrary.UniqueId.From(_bytes.AsSpan(index * NcclLibrary.UniqueId.Length));
}
