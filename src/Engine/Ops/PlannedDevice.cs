namespace LocalLlm.Ops;

/// <summary>A device that this process plans for but does not open.</summary>
/// <param name="Ops">For building layers; nothing is loaded or computed.</param>
/// <param name="Memory">All of the device's memory.</param>
internal sealed record PlannedDevice(IDeviceOps Ops, DeviceMemory Memory);
