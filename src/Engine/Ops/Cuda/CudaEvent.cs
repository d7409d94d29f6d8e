using LocalLlm.Interop.Cuda;

namespace LocalLlm.Ops.Cuda;

/// <summary>A point in a stream. Other streams, also on other cards of the process, can wait for it without the host.</summary>
internal sealed unsafe class CudaEvent : IDisposable
{
    private const uint DisableTiming = 2;
    private IntPtr _handle;

    /// <summary>Places the event after all work that is queued so far on the stream of this thread's card.</summary>
    public void Record(CudaDevice device)
    {
        if (_handle == IntPtr.Zero)
        {
            IntPtr handle;
            CudaException.Check(CudaDriver.cuEventCreate(&handle, DisableTiming), "creating an event");
            _handle = handle;
        }

        CudaException.Check(CudaDriver.cuEventRecord(_handle, device.Stream), "recording an event");
    }

    /// <summary>Queues a wait for the event on a card's stream. The wait does nothing if the event was never recorded.</summary>
    public void Precede(CudaDevice device)
    {
        if (_handle != IntPtr.Zero)
            CudaException.Check(CudaDriver.cuStreamWaitEvent(device.Stream, _handle, 0), "waiting for another rank");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle != IntPtr.Zero)
            _ = CudaDriver.cuEventDestroy_v2(_handle);
        _handle = IntPtr.Zero;
    }
}
