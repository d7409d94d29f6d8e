using System.Runtime.InteropServices;

namespace LocalLlm.Interop.Cuda;

/// <summary>
/// The CUDA driver API (libcuda.so.1). Every function returns a CUresult; <see cref="CudaException.Check"/> turns it into an exception.
/// </summary>
internal static unsafe partial class CudaDriver
{
    private const string Library = "libcuda.so.1";

    [LibraryImport(Library)]
    public static partial int cuInit(uint flags);

    [LibraryImport(Library)]
    public static partial int cuDriverGetVersion(int* version);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetCount(int* count);

    [LibraryImport(Library)]
    public static partial int cuDeviceGet(int* device, int ordinal);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetUuid_v2(Guid* uuid, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetAttribute(int* value, int attribute, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceTotalMem_v2(nuint* bytes, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceCanAccessPeer(int* canAccess, int device, int peer);

    [LibraryImport(Library)]
    public static partial int cuDevicePrimaryCtxRetain(IntPtr* context, int device);

    [LibraryImport(Library)]
    public static partial int cuCtxSetCurrent(IntPtr context);

    [LibraryImport(Library)]
    public static partial int cuCtxGetCurrent(IntPtr* context);

    [LibraryImport(Library)]
    public static partial int cuCtxEnablePeerAccess(IntPtr peer, uint flags);

    [LibraryImport(Library)]
    public static partial int cuMemAlloc_v2(ulong* pointer, nuint bytes);

    [LibraryImport(Library)]
    public static partial int cuMemFree_v2(ulong pointer);

    [LibraryImport(Library)]
    public static partial int cuMemHostAlloc(void** pointer, nuint bytes, uint flags);

    [LibraryImport(Library)]
    public static partial int cuMemsetD8Async(ulong target, byte value, nuint bytes, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuFuncGetAttribute(int* value, int attribute, IntPtr function);

    [LibraryImport(Library)]
    public static partial int cuFuncSetAttribute(IntPtr function, int attribute, int value);

    [LibraryImport(Library)]
    public static partial int cuMemGetInfo_v2(nuint* free, nuint* total);

    [LibraryImport(Library)]
    public static partial int cuMemAllocHost_v2(void** pointer, nuint bytes);

    [LibraryImport(Library)]
    public static partial int cuMemFreeHost(void* pointer);

    [LibraryImport(Library)]
    public static partial int cuMemcpyHtoDAsync_v2(ulong target, void* source, nuint bytes, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuMemcpyDtoHAsync_v2(void* target, ulong source, nuint bytes, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuMemcpyDtoDAsync_v2(ulong target, ulong source, nuint bytes, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuMemcpyPeerAsync(ulong target, IntPtr targetContext, ulong source, IntPtr sourceContext, nuint bytes, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuStreamWaitEvent(IntPtr stream, IntPtr handle, uint flags);

    [LibraryImport(Library)]
    public static partial int cuStreamDestroy_v2(IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuStreamCreateWithPriority(IntPtr* stream, uint flags, int priority);

    [LibraryImport(Library)]
    public static partial int cuCtxGetStreamPriorityRange(int* least, int* greatest);

    [LibraryImport(Library)]
    public static partial int cuStreamSynchronize(IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuEventCreate(IntPtr* handle, uint flags);

    [LibraryImport(Library)]
    public static partial int cuEventRecord(IntPtr handle, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuEventSynchronize(IntPtr handle);

    [LibraryImport(Library)]
    public static partial int cuEventDestroy_v2(IntPtr handle);

    [LibraryImport(Library)]
    public static partial int cuStreamBeginCapture_v2(IntPtr stream, int mode);

    [LibraryImport(Library)]
    public static partial int cuStreamEndCapture(IntPtr stream, IntPtr* graph);

    [LibraryImport(Library)]
    public static partial int cuGraphInstantiateWithFlags(IntPtr* executable, IntPtr graph, ulong flags);

    [LibraryImport(Library)]
    public static partial int cuGraphUpload(IntPtr executable, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuGraphLaunch(IntPtr executable, IntPtr stream);

    [LibraryImport(Library)]
    public static partial int cuGraphDestroy(IntPtr graph);

    [LibraryImport(Library)]
    public static partial int cuGraphExecDestroy(IntPtr executable);

    [LibraryImport(Library)]
    public static partial int cuModuleLoadData(IntPtr* module, void* image);

    [LibraryImport(Library)]
    public static partial int cuModuleUnload(IntPtr module);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int cuModuleGetFunction(IntPtr* function, IntPtr module, string name);

    [LibraryImport(Library)]
    public static partial int cuLaunchKernelEx(LaunchConfig* config, IntPtr function, void** arguments, void** extra);

    [LibraryImport(Library)]
    public static partial int cuOccupancyMaxActiveClusters(int* clusters, IntPtr function, LaunchConfig* config);

    [LibraryImport(Library)]
    public static partial int cuTensorMapEncodeTiled(
        void* map, int type, uint rank, ulong address, ulong* sizes, ulong* strides, uint* box, uint* elementStrides, int interleave, int swizzle,
        int promotion, int outside);

    [LibraryImport(Library)]
    public static partial int cuGetErrorString(int error, byte** text);

    /// <summary>CUlaunchConfig.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct LaunchConfig
    {
        public uint GridX;
        public uint GridY;
        public uint GridZ;
        public uint BlockX;
        public uint BlockY;
        public uint BlockZ;
        public uint SharedMemoryBytes;
        public IntPtr Stream;
        public LaunchAttribute* Attributes;
        public uint AttributeCount;
    }

    /// <summary>CUlaunchAttribute: an id, and a union of 64 bytes; only its first int is used here.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 72)]
    public struct LaunchAttribute
    {
        [FieldOffset(0)]
        public int Id;

        [FieldOffset(8)]
        public int Value;
    }
}
