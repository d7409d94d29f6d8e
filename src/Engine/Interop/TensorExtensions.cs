using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>Raw access to a tensor's memory.</summary>
internal static unsafe class TensorExtensions
{
    /// <summary>
    /// Address of the first element, valid while the tensor exists. To read through it, the tensor must be contiguous and on the CPU.
    /// </summary>
    public static void* DataPointer(this torch.Tensor tensor)
    {
        void* pointer;
        if (TorchShim.aoti_torch_get_data_ptr(tensor.Handle, &pointer) != 0)
            throw new EngineException(EngineErrorKind.EngineDead, "libtorch gave no data pointer for a tensor.");
        return pointer;
    }
}
