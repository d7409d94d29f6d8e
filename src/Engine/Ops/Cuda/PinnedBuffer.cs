using LocalLlm.Interop.Cuda;

namespace LocalLlm.Ops.Cuda;

/// <summary>Host memory that the card copies from or to. Tracks when the host may touch it again.</summary>
internal sealed unsafe class PinnedBuffer(CudaDevice device) : IDisposable
{
    private const uint DisableTiming = 2;
    private const nuint MinBytes = 1 << 16;
    private IntPtr _released;
    private nuint _capacity;

    /// <summary>The memory; null before the first <see cref="Reserve"/>.</summary>
    public void* Memory { get; private set; }

    /// <summary>Allocates room; if the buffer has to grow, its contents are lost. Waits for marked copies.</summary>
    public void Reserve(nuint bytes)
    {
        Wait();
        if (bytes <= _capacity)
            return;

        // Allocate generously: freeing pinned memory waits for all of the card's work.
        bytes = nuint.Max(MinBytes, (nuint)System.Numerics.BitOperations.RoundUpToPowerOf2(bytes));
        void* memory;
        CudaException.Check(CudaDriver.cuMemAllocHost_v2(&memory, bytes), "allocating pinned memory");
        if (Memory is not null)
            _ = CudaDriver.cuMemFreeHost(Memory);
        Memory = memory;
        _capacity = bytes;
    }

    /// <summary>Marks that the work queued on the stream so far may use the memory.</summary>
    public void MarkUsed()
    {
        if (_released == IntPtr.Zero)
        {
            IntPtr handle;
            CudaException.Check(CudaDriver.cuEventCreate(&handle, DisableTiming), "creating an event");
            _released = handle;
        }

        CudaException.Check(CudaDriver.cuEventRecord(_released, device.Stream), "recording an event");
    }

    /// <summary>Waits until the marked work is done.</summary>
    public void Wait()
    {
        if (_released != IntPtr.Zero)
            CudaException.Check(CudaDriver.cuEventSynchronize(_released), "waiting for the GPU");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Marked work may still be running. After a fault of the card there is nothing left to wait for.
        if (_released != IntPtr.Zero)
        {
            _ = CudaDriver.cuEventSynchronize(_released);
            _ = CudaDriver.cuEventDestroy_v2(_released);
        }

        if (Memory is not null)
            _ = CudaDriver.cuMemFreeHost(Memory);
        Memory = null;
        _released = IntPtr.Zero;
        _capacity = 0;
    }
}
