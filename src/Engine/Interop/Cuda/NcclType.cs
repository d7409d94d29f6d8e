namespace LocalLlm.Interop.Cuda;

/// <summary>ncclDataType_t, as far as activations have it.</summary>
internal enum NcclType
{
    Int8 = 0,
    Float16 = 6,
    Float32 = 7,
    BFloat16 = 9,
}
