using LocalLlm.Interop.Cuda;
using TorchSharp;

namespace LocalLlm.Ops.Cuda;

/// <summary>The GPUs of this machine as the driver lists them. Needs no libtorch and opens no context.</summary>
internal static unsafe class CudaInventory
{
    /// <summary>Name, memory in bytes and compute capability of every GPU; empty without a driver.</summary>
    public static IReadOnlyList<(string Name, long MemoryBytes, int ComputeCapability)> Devices()
    {
        var found = new List<(string, long, int)>();
        for (var ordinal = 0; ordinal < (CudaDevice.Probe()?.Count ?? 0); ordinal++)
        {
            int device;
            nuint bytes;
            CudaException.Check(CudaDriver.cuDeviceGet(&device, ordinal), "cuDeviceGet");
            CudaException.Check(CudaDriver.cuDeviceTotalMem_v2(&bytes, device), "cuDeviceTotalMem");
            found.Add((CudaDevice.NameOf(device), (long)bytes, CudaDevice.ComputeCapabilityOf(device)));
        }

        return found;
    }

    /// <summary>
    /// The UUID of a GPU or MIG instance, as nvidia-smi writes it: unique, whatever ordinal this process gives the GPU. Null: there is no
    /// such GPU, or the driver reports no UUID.
    /// </summary>
    /// <param name="ordinal">The GPU's ordinal in this process.</param>
    public static string? UuidOf(int ordinal)
    {
        int device;
        Guid bytes;
        return ordinal < (CudaDevice.Probe()?.Count ?? 0) && CudaDriver.cuDeviceGet(&device, ordinal) == 0
            && CudaDriver.cuDeviceGetUuid_v2(&bytes, device) == 0
            ? $"GPU-{new Guid(new ReadOnlySpan<byte>(&bytes, sizeof(Guid)), bigEndian: true)}" : null;
    }

    /// <summary>What this process plans with for a GPU that another process computes on.</summary>
    /// <param name="ordinal">Ordinal of an existing GPU.</param>
    /// <param name="settings">How the other process opens it.</param>
    public static PlannedDevice Plan(int ordinal, DeviceSettings settings)
    {
        var (name, memory, own) = Devices()[ordinal];
        var capability = CudaArchitecture.Of(CudaArchitecture.Asked(settings.CudaArchitecture), own, name);
        var features = DeviceFeatures.None with { SharesLoaded = true, LacksBFloat16 = capability < CudaDevice.Ampere };
        return new(new TorchOps(new(DeviceType.CUDA, ordinal), features), new(MemoryCap.Of(settings.GpuMemoryBytes, memory, name), 0, EngineOptionsDefaults.GpuMemoryUtilization));
    }
}
