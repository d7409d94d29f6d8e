using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Copies tensors between devices.</summary>
internal static class TensorCopies
{
    /// <summary>A copy on a device, in memory that nothing else uses. The copy is queued on the device's stream.</summary>
    public static Tensor CopyTo(this Tensor tensor, Device device) =>
        tensor.device_type == device.type && tensor.device_index == device.index ? tensor.clone() : tensor.to(device);
}
