namespace LocalLlm.Ops;

/// <summary>A device that is only planned with.</summary>
/// <param name="Ops">Layers are built with them; nothing is loaded or computed.</param>
/// <param name="Memory">All that the device has.</param>
internal sealed record PlannedDevice(IDeviceOps Ops, DeviceMemory Memory);
