using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// The ids of all communicators that cross from one node to another: the first node creates them, and every other one is sent their
/// bytes.
/// </summary>
internal sealed class NcclIds
{
    private readonly ParallelPlan _plan;
    private readonly byte[] _bytes; // of a group for each stage, then of a link for each rank that sends

    private NcclIds(ParallelPlan plan, byte[] bytes) => (_plan, _bytes) = (plan, bytes);

    /// <summary>To be sent to the other nodes.</summary>
    public ReadOnlyMemory<byte> Bytes => _bytes;

    /// <summary>Creates new ids.</summary>
    /// <param name="library">NCCL.</param>
    /// <param name="plan">How the model is spread.</param>
    public static NcclIds Create(NcclLibrary library, ParallelPlan plan) =>
        new(plan, [.. Enumerable.Range(0, CountOf(plan)).SelectMany(_ => library.CreateUniqueId().ToBytes())]);

    /// <summary>Reads what another node has created.</summary>
    /// <exception cref="EngineException">Kind Environment: the bytes are not of this plan.</exception>
    public static NcclIds From(ParallelPlan plan, ReadOnlySpan<byte> bytes) => bytes.Length == CountOf(plan) * NcclLibrary.UniqueId.Length
        ? new(plan, bytes.ToArray())
        : throw new EngineException(
            EngineErrorKind.Environment,
            $"{bytes.Length} bytes of communicator ids came for a plan of {CountOf(plan)}; start all nodes with the same sizes.");

    /// <summary>Of the tensor-parallel group of a stage.</summary>
    public NcclLibrary.UniqueId Group(int stage) => At(stage);

    /// <summary>Of the link that a rank sends on.</summary>
    public NcclLibrary.UniqueId Link(int from) => At(_plan.PipelineParallel + from);

    private static int CountOf(ParallelPlan plan) => plan.PipelineParallel + (plan.WorldSize - plan.TensorParallel);

    private NcclLibrary.UniqueId At(int index) => NcclLibrary.UniqueId.From(_bytes.AsSpan(index * NcclLibrary.UniqueId.Length));
}
