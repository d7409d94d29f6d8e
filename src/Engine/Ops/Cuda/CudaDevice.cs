using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;
using TorchSharp;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// One GPU as this thread's current device: its context, and a stream that is torch's current stream on this thread while this object
/// lives. Create, use and dispose it on one thread.
/// </summary>
internal sealed unsafe class CudaDevice : IDisposable
{
    /// <summary>The compute capability of H100 and H200.</summary>
    public const int Hopper = 90;

    /// <summary>The compute capability of T4: float16 products of tensor cores, and no bfloat16.</summary>
    public const int Turing = 75;

    private const int MultiprocessorCountAttribute = 16;
    private const int ComputeCapabilityMajorAttribute = 75;
    private const int ComputeCapabilityMinorAttribute = 76;
    private const int MaxSharedBytesAttribute = 97; // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    private const int TuringSharedBytes = 64 << 10;
    private const uint NonBlockingStream = 1;
    private const int PeerAccessAlreadyEnabled = 704;

    /// <summary>The compute capability of A100: the first with bfloat16, asynchronous copies and libtorch's flash attention.</summary>
    public const int Ampere = 80;

    /// <summary>The oldest card that kernels are compiled for.</summary>
    public const int MinComputeCapability = Turing;

    /// <summary>CUDA 12.0: the oldest driver whose graphs support kernels with programmatic launch attributes.</summary>
    public const int MinDriverVersion = 12_000;

    private readonly IntPtr _guard;
    private readonly MemoryCap? _cap; // null: all of the memory counts
    private readonly int _ordinal;

    /// <summary>Opens a device.</summary>
    /// <param name="ordinal">Ordinal of the card.</param>
    /// <param name="priority">Whose blocks run first where several engines of this process share the card.</param>
    /// <param name="architecture">What kernels are compiled for; null: the environment's setting, else the card's own architecture.</param>
    /// <param name="memoryBytes">How much of the card's memory counts; null: all of it.</param>
    /// <exception cref="EngineException">Kind Environment: no driver, no CUDA in this libtorch, no such device, or one of them is too old.
    /// Kind InvalidOptions: the card does not run that architecture, or has less memory.</exception>
    public CudaDevice(int ordinal, DevicePriority priority = DevicePriority.High, int? architecture = null, long? memoryBytes = null)
    {
        var driverVersion = RequireDriver(ordinal);
        if (!TorchLibrary.TryLoadCuda() || !cuda.is_available())
            throw Missing($"the libtorch in {TorchLibrary.Folder} was built without CUDA or does not fit the driver (CUDA {Version(driverVersion)}); name one with CUDA by {TorchLibrary.EnvironmentVariable}, such as the torch/lib folder of an installed PyTorch");
        Nvrtc.EnsureLoaded(TorchLibrary.Folder);

        // torch makes the primary context current on this thread.
        Torch = new(DeviceType.CUDA, ordinal);
        InitializeDeviceType(DeviceType.CUDA);
        zeros(1, device: Torch).Dispose();
        (Handle, Context) = PrimaryContextOf(ordinal);
        CudaException.Check(CudaDriver.cuCtxSetCurrent(Context), "cuCtxSetCurrent");
        var own = ComputeCapabilityOf(Handle);
        Multiprocessors = Attribute(Handle, MultiprocessorCountAttribute);
        Name = NameOf(Handle);
        if (own < MinComputeCapability)
            throw Missing($"{Name} has compute capability {CudaArchitecture.Text(own)}, wanted {CudaArchitecture.Text(MinComputeCapability)} (Turing) or newer");
        ComputeCapability = CudaArchitecture.Of(CudaArchitecture.Asked(architecture), own, Name);
        IsEmulated = ComputeCapability != own;
        MaxSharedBytes = ComputeCapability < Ampere ? TuringSharedBytes : Attribute(Handle, MaxSharedBytesAttribute);

        (_ordinal, _cap) = (ordinal, memoryBytes is { } bytes ? MemoryCap.Take(ordinal, bytes, Name) : null);

        IntPtr stream, guard;
        int least, greatest;
        CudaException.Check(CudaDriver.cuCtxGetStreamPriorityRange(&least, &greatest), "cuCtxGetStreamPriorityRange");
        CudaException.Check(CudaDriver.cuStreamCreateWithPriority(&stream, NonBlockingStream, priority == DevicePriority.High ? greatest : least), "cuStreamCreateWithPriority");
        Stream = stream;
        if (TorchCudaShim.aoti_torch_create_cuda_stream_guard(stream, ordinal, &guard) != 0)
        {
            _cap?.Dispose();
            throw Missing($"the libtorch in {TorchLibrary.Folder} did not take the engine's CUDA stream; use the libtorch of PyTorch 2.10 or newer");
        }

        _guard = guard;
    }

    /// <summary>The device as torch names it.</summary>
    public Device Torch { get; }

    /// <summary>The stream of all work.</summary>
    public IntPtr Stream { get; }

    /// <summary>What kernels are compiled for and chosen by, such as 90 for Hopper. May be older than the card.</summary>
    public int ComputeCapability { get; }

    /// <summary>Whether the card is newer than <see cref="ComputeCapability"/>.</summary>
    public bool IsEmulated { get; }

    /// <summary>Max shared memory of a block, in bytes.</summary>
    public int MaxSharedBytes { get; }

    /// <summary>Number of streaming multiprocessors.</summary>
    public int Multiprocessors { get; }

    /// <summary>The card's name.</summary>
    public string Name { get; }

    /// <summary>The gates that the work being recorded will pass at each launch; null: nothing is being recorded.</summary>
    public HashSet<LaunchGate>? RecordedGates { get; set; }

    /// <summary>The context of all work.</summary>
    public IntPtr Context { get; }

    /// <summary>The driver's handle of the device.</summary>
    public int Handle { get; }

    /// <summary>
    /// Returns the memory that libtorch caches for later tensors to the driver, for other processes and the next engine. libtorch's C
    /// interface has no call for this. But its allocator empties the cache before it reports that memory is short, so this asks for more
    /// memory than exists.
    /// </summary>
    public void ReleaseUnusedMemory()
    {
        try
        {
            var (_, total) = Memory();
            empty(2 * total, ScalarType.Byte, Torch).Dispose();
        }
        catch (Exception failure) when (failure is CudaException or System.Runtime.InteropServices.ExternalException)
        {
        }
    }

    /// <summary>Refuses a device that the driver does not show, or a driver that is too old; needs no libtorch.</summary>
    /// <returns>The driver's CUDA version (1000 · major + 10 · minor).</returns>
    /// <exception cref="EngineException">Kind Environment.</exception>
    public static int RequireDriver(int ordinal)
    {
        var (count, driverVersion) = Probe() is { } found ? found : throw Missing("no NVIDIA driver was found (libcuda.so.1); install one, or set device to cpu");
        if (driverVersion < MinDriverVersion)
            throw Missing($"the NVIDIA driver supports CUDA {Version(driverVersion)}, wanted {Version(MinDriverVersion)} or newer; update the driver");
        if (count == 0)
            throw Missing("the NVIDIA driver shows no device; see nvidia-smi and CUDA_VISIBLE_DEVICES, or set device to cpu");
        if (ordinal >= count)
            throw Missing($"device is cuda:{ordinal}, but this machine has {count} CUDA devices (cuda:0 to cuda:{count - 1})");
        return driverVersion;
    }

    /// <summary>Number of devices and the driver's CUDA version (1000 · major + 10 · minor), or null without a driver.</summary>
    public static (int Count, int DriverVersion)? Probe()
    {
        try
        {
            int count, version;
            if (CudaDriver.cuInit(0) != 0 || CudaDriver.cuDeviceGetCount(&count) != 0 || CudaDriver.cuDriverGetVersion(&version) != 0)
                return null;
            return (count, version);
        }
        catch (DllNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Whether <c>auto</c> chooses a GPU: needs a driver, a device, and a libtorch with CUDA and NVRTC, all new enough.</summary>
    public static bool IsUsable()
    {
        int device;
        if (Probe() is not { Count: > 0, DriverVersion: >= MinDriverVersion } || CudaDriver.cuDeviceGet(&device, 0) != 0 || ComputeCapabilityOf(device) < MinComputeCapability)
            return false;
        return TorchLibrary.TryLoadCuda() && cuda.is_available() && Nvrtc.TryLoad(TorchLibrary.Folder);
    }

    /// <summary>Free and total bytes of this thread's current card.</summary>
    public static (long Free, long Total) Memory()
    {
        nuint free, total;
        CudaException.Check(CudaDriver.cuMemGetInfo_v2(&free, &total), "cuMemGetInfo");
        return ((long)free, (long)total);
    }

    /// <summary>Free and total bytes of this card, of the memory that counts (<see cref="MemoryCap"/>).</summary>
    public (long Free, long Total) CountedMemory()
    {
        var (free, total) = Memory();
        return (free, total - MemoryCap.TakenOf(_ordinal));
    }

    /// <summary>Directs the calling thread's CUDA calls to this device.</summary>
    public void UseOnThisThread() => CudaException.Check(CudaDriver.cuCtxSetCurrent(Context), "cuCtxSetCurrent");

    /// <summary>Lets this thread's card read and write the memory of another card, or its own.</summary>
    /// <param name="context">The other card's context.</param>
    public void OpenPeer(IntPtr context)
    {
        if (context == Context)
            return;
        var status = CudaDriver.cuCtxEnablePeerAccess(context, 0);
        if (status != PeerAccessAlreadyEnabled)
            CudaException.Check(status, $"access of {Name} to another card's memory");
    }

    /// <summary>Lets this thread's card read and write the memory of another card, which need not be in use yet.</summary>
    /// <param name="ordinal">The other card's ordinal.</param>
    public void OpenPeer(int ordinal) => OpenPeer(PrimaryContextOf(ordinal).Context);

    /// <summary>Waits until the stream is empty.</summary>
    public void Synchronize() => CudaException.Check(CudaDriver.cuStreamSynchronize(Stream), "a step on the GPU");

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = CudaDriver.cuStreamSynchronize(Stream);
        _ = TorchCudaShim.aoti_torch_delete_cuda_stream_guard(_guard);
        _cap?.Dispose();
        // The stream is not destroyed: torch's allocator remembers which stream its cached blocks belong to.
    }

    /// <summary>A device's compute capability, such as 90 for Hopper.</summary>
    public static int ComputeCapabilityOf(int device) => (10 * Attribute(device, ComputeCapabilityMajorAttribute)) + Attribute(device, ComputeCapabilityMinorAttribute);

    // The context that libtorch uses; it lives as long as the process.
    private static (int Handle, IntPtr Context) PrimaryContextOf(int ordinal)
    {
        int device;
        CudaException.Check(CudaDriver.cuDeviceGet(&device, ordinal), "cuDeviceGet");
        IntPtr context;
        CudaException.Check(CudaDriver.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
        return (device, context);
    }

    private static int Attribute(int device, int attribute)
    {
        int value;
        CudaException.Check(CudaDriver.cuDeviceGetAttribute(&value, attribute, device), "cuDeviceGetAttribute");
        return value;
    }

    /// <summary>The card's name.</summary>
    public static string NameOf(int device)
    {
        var bytes = stackalloc byte[256];
        CudaException.Check(CudaDriver.cuDeviceGetName(bytes, 256, device), "cuDeviceGetName");
        return System.Runtime.InteropServices.Marshal.PtrToStringUTF8((IntPtr)bytes)!;
    }

    /// <summary>A CUDA version in the usual notation.</summary>
    public static string Version(int version) => $"{version / 1000}.{version % 1000 / 10}";

    private static EngineException Missing(string message) => new(EngineErrorKind.Environment, message + ".", "device");
}
