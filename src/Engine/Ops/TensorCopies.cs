using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>Tensors in memory of their own.</summary>
internal static class TensorCopies
{
    /// <summary>The same on a device, in memory that nothing else has; queued on the device's stream.</summary>
    public static Tensor CopyTo(this Tensor tensor, Device device) =>
        tensor.device_type == device.type && tensor.device_index == device.index ? tensor.clone() : tensor.to(device);
}
