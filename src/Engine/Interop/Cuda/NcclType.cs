namespace LocalLlm.Interop.Cuda;

/// <summary>The values of ncclDataType_t that activations use.</summary>
internal enum NcclType
{
    Int8 = 0,
    Float16 = 6,
    Float32 = 7,
    BFloat16 = 9,
}
