using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Checks everything that running on a GPU needs, without using one.</summary>
internal static unsafe class CudaChecks
{
    private const string LibTorch = "libtorch", Driver = "NVIDIA driver", Torch = "libtorch with CUDA", Compiler = "NVRTC", Collectives = "NCCL (several GPUs)";

    /// <summary>Runs all checks; each builds on those before it.</summary>
    public static List<EnvironmentCheck> Run(string? libTorchPath)
    {
        var checks = new List<EnvironmentCheck>();
        try
        {
            TorchLibrary.EnsureLoaded(libTorchPath);
            checks.Add(new(LibTorch, EnvironmentCheckStatus.Ok, TorchLibrary.Folder ?? "bundled", ""));
        }
        catch (EngineException failure)
        {
            checks.Add(new(LibTorch, EnvironmentCheckStatus.Unusable, failure.Message, $"Install libstdc++ of GCC 13 or newer, or set {TorchLibrary.EnvironmentVariable}."));
            return checks;
        }

        var driver = CudaDevice.Probe();
        checks.Add(driver is { } found
            ? Old(found.DriverVersion)
                ? new(Driver, EnvironmentCheckStatus.Unusable, $"CUDA {CudaDevice.Version(found.DriverVersion)}", $"Update it to one for CUDA {CudaDevice.Version(CudaDevice.MinDriverVersion)} or newer.")
                : new(Driver, EnvironmentCheckStatus.Ok, $"CUDA {CudaDevice.Version(found.DriverVersion)}, devices: {found.Count}", "")
            : new(Driver, EnvironmentCheckStatus.Absent, "no libcuda.so.1, or no device that it can use", "Install NVIDIA's driver to run on a GPU."));
        checks.Add(TorchLibrary.TryLoadCuda()
            ? cuda.is_available()
                ? new(Torch, EnvironmentCheckStatus.Ok, "yes", "")
                : new(Torch, EnvironmentCheckStatus.Unusable, "it finds no device that it can use", "Its CUDA must not be newer than the driver's.")
            : new(Torch, EnvironmentCheckStatus.Absent, "this libtorch was built without CUDA", $"Set {TorchLibrary.EnvironmentVariable} to one with CUDA, such as the torch/lib folder of an installed PyTorch."));
        checks.Add(CheckCompiler());
        checks.Add(CheckCollectives());
        for (var ordinal = 0; ordinal < (driver?.Count ?? 0); ordinal++)
            checks.Add(CheckDevice(ordinal, driver!.Value.Count));
        return checks;
    }

    private static bool Old(int version) => version < CudaDevice.MinDriverVersion;

    private static EnvironmentCheck CheckCompiler()
    {
        if (!Nvrtc.TryLoad(TorchLibrary.Folder))
            return new(Compiler, EnvironmentCheckStatus.Absent, "not found", $"It comes with CUDA's toolkit and with every libtorch for CUDA; set {Nvrtc.EnvironmentVariable} to libnvrtc.so.");
        var (major, minor) = Nvrtc.Version();
        return new(Compiler, EnvironmentCheckStatus.Ok, $"{major}.{minor}, {Nvrtc.Path}", "");
    }

    private static EnvironmentCheck CheckCollectives()
    {
        if (NcclLibrary.TryLoad(TorchLibrary.Folder) is not { } library)
            return new(Collectives, EnvironmentCheckStatus.Absent, "not found", $"Needed only to split a model over several GPUs: install libnccl2, or set {NcclLibrary.EnvironmentVariable} to libnccl.so.2.");
        var version = library.Version;
        return new(Collectives, EnvironmentCheckStatus.Ok, string.Create(CultureInfo.InvariantCulture, $"{version / 10000}.{version % 10000 / 100}.{version % 100}, {library.Path}"), "");
    }

    private static EnvironmentCheck CheckDevice(int ordinal, int count)
    {
        var name = $"cuda:{ordinal}";
        int handle;
        nuint bytes;
        CudaException.Check(CudaDriver.cuDeviceGet(&handle, ordinal), "cuDeviceGet");
        var device = handle;
        CudaException.Check(CudaDriver.cuDeviceTotalMem_v2(&bytes, device), "cuDeviceTotalMem");
        var capability = CudaDevice.ComputeCapabilityOf(device);
        var peers = Enumerable.Range(0, count).Where(other => other != ordinal && CanAccess(device, other)).Select(other => $"cuda:{other}").ToArray();
        var found = string.Create(
            CultureInfo.InvariantCulture,
            $"{CudaDevice.NameOf(device)}, compute capability {capability / 10}.{capability % 10}, {bytes / (double)(1L << 30):F1} GiB{(count > 1 ? $", reaches {(peers.Length == 0 ? "no other" : string.Join(", ", peers))} directly" : "")}");
        return capability < CudaDevice.MinComputeCapability
            ? new(name, EnvironmentCheckStatus.Unusable, found, $"The kernels need compute capability {CudaArchitecture.Text(CudaDevice.MinComputeCapability)} (Turing) or newer.")
            : new(name, EnvironmentCheckStatus.Ok, found, "");
    }

    private static bool CanAccess(int device, int peerOrdinal)
    {
        int peer, can;
        return CudaDriver.cuDeviceGet(&peer, peerOrdinal) == 0 && CudaDriver.cuDeviceCanAccessPeer(&can, device, peer) == 0 && can != 0;
    }
}
