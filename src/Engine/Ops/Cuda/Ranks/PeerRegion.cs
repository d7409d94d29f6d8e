using LocalLlm.Interop.Cuda;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>Zeroed memory of one card that ranks on other cards of the process may reach.</summary>
/// <param name="Address">Address of the first byte.</param>
/// <param name="Context">Context of the card.</param>
internal sealed unsafe record PeerRegion(ulong Address, IntPtr Context)
{
    /// <summary>Allocates a region on this thread's card.</summary>
    public static PeerRegion Allocate(CudaDevice device, long bytes)
    {
        ulong address;
        CudaException.Check(CudaDriver.cuMemAlloc_v2(&address, (nuint)bytes), "allocating memory that other ranks reach");
        CudaException.Check(CudaDriver.cuMemsetD8Async(address, 0, (nuint)bytes, device.Stream), "clearing memory");
        device.Synchronize();
        return new(address, device.Context);
    }

    /// <summary>Lets kernels of this thread's card read and write the region.</summary>
    public void OpenTo(CudaDevice device) => device.OpenPeer(Context);

    /// <summary>Frees the region, from any thread that has a card.</summary>
    public void Free()
    {
        IntPtr current;
        _ = CudaDriver.cuCtxGetCurrent(&current);
        _ = CudaDriver.cuCtxSetCurrent(Context);
        _ = CudaDriver.cuMemFree_v2(Address);
        _ = CudaDriver.cuCtxSetCurrent(current);
    }
}
