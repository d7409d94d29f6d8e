namespace LocalLlm.Ops;

/// <summary>A connection between ranks on a device. <see cref="Bind"/> is called on the device's thread before its first use.</summary>
internal interface IDeviceBound
{
    /// <summary>Takes what it needs from the device, without waiting for other ranks.</summary>
    /// <exception cref="EngineException">Kind Environment: the device cannot do it.</exception>
    void Bind(IDeviceOps ops);
}
