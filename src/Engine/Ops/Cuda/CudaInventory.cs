using LocalLlm.Interop.Cuda;
using TorchSharp;

namespace LocalLlm.Ops.Cuda;

/// <summary>The GPUs of this machine as the driver shows them; needs no libtorch and opens no context.</summary>
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
    /// The UUID of a GPU, or of its part by MIG, as nvidia-smi writes it: no other GPU has it, whatever this process calls it. Null: there
    /// is no such GPU, or a driver that does not tell.
    /// </summary>
    /// <param name="ordinal">As this process counts.</param>
    public static string? UuidOf(int ordinal)
    {
        int device;
        Guid bytes;
        return ordinal < (CudaDevice.Probe()?.Count ?? 0) && CudaDriver.cuDeviceGet(&device, ordinal) == 0
            && CudaDriver.cuDeviceGetUuid_v2(&bytes, device) == 0
            ? $"GPU-{new Guid(new ReadOnlySpan<byte>(&bytes, sizeof(Guid)), bigEndian: true)}" : null;
    }

    /// <summary>What is planned with for a GPU that another process computes on.</summary>
    /// <param name="ordinal">A GPU that is there.</param>
    public static PlannedDevice Plan(int ordinal) => new(
        new TorchOps(new(DeviceType.CUDA, ordinal), DeviceFeatures.None with { SharesLoaded = true }),
        new(Devices()[ordinal].MemoryBytes, 0, EngineOptionsDefaults.GpuMemoryUtilization));
}
