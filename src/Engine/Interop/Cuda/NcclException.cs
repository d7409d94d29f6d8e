namespace LocalLlm.Interop.Cuda;

/// <summary>A failed call of NCCL. Its communicator is unusable afterwards.</summary>
internal sealed class NcclException(string call, string description, string? detail, int code)
    : Exception($"{call} failed: {description} (NCCL error {code}){(detail is null ? "" : $": {detail}")}")
{
    /// <summary>The ncclResult_t.</summary>
    public int Code { get; } = code;
}
