using LocalLlm.Interop.Cuda;

namespace LocalLlm.Ops.Cuda;

/// <summary>A point in a stream that other streams, also of other cards of the process, can wait for without the host.</summary>
internal sealed unsafe class CudaEvent : IDisposable
{
    private const uint DisableTiming = 2;
    private IntPtr _handle;

    /// <summary>Happens when all that was queued on the stream of this thread's card so far is done.</summary>
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

    /// <summary>Has a card's stream wait until it has happened; it does not wait for what was never recorded.</summary>
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
