namespace LocalLlm.Ops;

/// <summary>
/// Whose work goes first where several engines of one process share a device, if it supports priorities (a GPU does, between the blocks of
/// kernels).
/// </summary>
internal enum DevicePriority
{
    /// <summary>Generation: a caller waits for every step.</summary>
    High,

    /// <summary>Embeddings, in batches.</summary>
    Low,
}
