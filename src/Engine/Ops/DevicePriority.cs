namespace LocalLlm.Ops;

/// <summary>
/// Whose work goes first where several engines of one process share a device that can tell (a GPU, between blocks of kernels).
/// </summary>
internal enum DevicePriority
{
    /// <summary>Someone waits for every step: generation.</summary>
    High,

    /// <summary>Batches: embeddings.</summary>
    Low,
}
