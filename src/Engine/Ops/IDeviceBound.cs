namespace LocalLlm.Ops;

/// <summary>A connection between ranks that works on a device: it learns which, on the device's thread, before it is used.</summary>
internal interface IDeviceBound
{
    /// <summary>Takes what it needs of the device and does not wait for other ranks.</summary>
    /// <exception cref="EngineException">Kind Environment: the device cannot do it.</exception>
    void Bind(IDeviceOps ops);
}
