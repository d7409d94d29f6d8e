using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>A value for a kernel's parameter list: 4 or 8 bytes.</summary>
internal readonly unsafe struct KernelArgument(ulong bits)
{
    public readonly ulong Bits = bits;

    public static implicit operator KernelArgument(Tensor? tensor) => new(tensor is null ? 0 : (ulong)tensor.DataPointer());

    public static implicit operator KernelArgument(ulong pointer) => new(pointer);

    public static implicit operator KernelArgument(long value) => new((ulong)value);

    public static implicit operator KernelArgument(int value) => new((uint)value);

    public static implicit operator KernelArgument(float value) => new(BitConverter.SingleToUInt32Bits(value));
}

/// <summary>
/// A compiled kernel. Launches go to the device's stream. A launch may begin its prologue before the previous launch has ended.
/// </summary>
internal sealed unsafe class CudaKernel(IntPtr function, string name, CudaDevice device)
{
    private const int ProgrammaticStreamSerialization = 6;
    private const int MinProgrammaticCapability = 90;
    private const int MaxDynamicSharedMemory = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    private const int LargeClustersAllowed = 14; // CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
    private const int SharedMemoryWithoutAsking = 48 << 10;

    private int _allowedSharedMemory = SharedMemoryWithoutAsking;

    /// <summary>Launches the kernel. Every kernel of ours itself waits for the previous one (<c>waitForPrevious</c>).</summary>
    /// <param name="grid">Number of blocks.</param>
    /// <param name="block">Threads of a block.</param>
    /// <param name="arguments">Arguments of the kernel.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    /// <param name="last">The bytes of one more argument, larger than 8 bytes; empty: there is none.</param>
    public void Launch(
        (int X, int Y, int Z) grid, int block, ReadOnlySpan<KernelArgument> arguments, int sharedBytes = 0, ReadOnlySpan<byte> last = default)
    {
        AllowSharedMemory(sharedBytes);
        CudaDriver.LaunchAttribute attribute = new() { Id = ProgrammaticStreamSerialization, Value = 1 };
        CudaDriver.LaunchConfig config = new()
        {
            GridX = (uint)grid.X,
            GridY = (uint)grid.Y,
            GridZ = (uint)grid.Z,
            BlockX = (uint)block,
            BlockY = 1,
            BlockZ = 1,
            SharedMemoryBytes = (uint)sharedBytes,
            Stream = device.Stream,
            Attributes = &attribute,
            AttributeCount = device.ComputeCapability >= MinProgrammaticCapability ? 1u : 0u,
        };
        var pointers = stackalloc void*[arguments.Length + 1];
        fixed (KernelArgument* first = arguments)
        fixed (byte* large = last)
        {
            for (var i = 0; i < arguments.Length; i++)
                pointers[i] = first + i;
            pointers[arguments.Length] = large;
            CudaException.Check(CudaDriver.cuLaunchKernelEx(&config, function, pointers, null), $"launching {name}");
        }
    }

    /// <summary>
    /// How many clusters of this kernel, which is compiled for clusters, the card runs at once. Also allows later launches with clusters of
    /// more than the 8 blocks that every card supports.
    /// </summary>
    /// <param name="blocks">Blocks of a cluster.</param>
    /// <param name="threads">Threads of a block.</param>
    /// <param name="sharedBytes">As in <see cref="Launch"/>.</param>
    /// <returns>0: the card cannot run clusters of this size.</returns>
    public int ClustersAtOnce(int blocks, int threads, int sharedBytes)
    {
        CudaException.Check(CudaDriver.cuFuncSetAttribute(function, LargeClustersAllowed, 1), $"allowing {name} large clusters");
        AllowSharedMemory(sharedBytes);
        CudaDriver.LaunchConfig config = new()
        {
            GridX = 1,
            GridY = 1,
            GridZ = (uint)blocks,
            BlockX = (uint)threads,
            BlockY = 1,
            BlockZ = 1,
            SharedMemoryBytes = (uint)sharedBytes,
        };
        int clusters;
        return CudaDriver.cuOccupancyMaxActiveClusters(&clusters, function, &config) == 0 ? clusters : 0;
    }

    private void AllowSharedMemory(int bytes)
    {
        if (bytes <= _allowedSharedMemory)
            return;
        // A card that counts as an older one has more shared memory: check the limit here.
        if (bytes > device.MaxSharedBytes)
        {
            throw new InvalidOperationException(
                $"{name} asks for {bytes} bytes of shared memory, and compute capability "
                    + $"{CudaArchitecture.Text(device.ComputeCapability)} has {device.MaxSharedBytes}.");
        }
        var result = CudaDriver.cuFuncSetAttribute(function, MaxDynamicSharedMemory, bytes);
        CudaException.Check(result, $"giving {name} {bytes} bytes of shared memory");
        _allowedSharedMemory = bytes;
    }
}
