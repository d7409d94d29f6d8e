using System.Runtime.InteropServices;
using LocalLlm.Interop.Cuda;

namespace LocalLlm.Bench;

/// <summary>
/// Marks everything that runs until the range is disposed, for a profiler that does not record from the start
/// (<c>ncu --profile-from-start off</c>).
/// </summary>
internal sealed unsafe partial class ProfiledRange : IDisposable
{
    private readonly IntPtr _context;

    /// <summary>Begins the range on the first card.</summary>
    public ProfiledRange()
    {
        IntPtr context;
        CudaException.Check(CudaDriver.cuDevicePrimaryCtxRetain(&context, 0), "finding the card's context");
        _context = context;
        CudaException.Check(CudaDriver.cuCtxSetCurrent(_context), "using the card");
        CudaException.Check(cuProfilerStart(), "starting the profiler");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // After an await, another thread may run this.
        CudaException.Check(CudaDriver.cuCtxSetCurrent(_context), "using the card");
        CudaException.Check(cuProfilerStop(), "stopping the profiler");
    }

    [LibraryImport("libcuda.so.1")]
    private static partial int cuProfilerStart();

    [LibraryImport("libcuda.so.1")]
    private static partial int cuProfilerStop();
}
