using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace LocalLlm.Interop;

/// <summary>
/// Loads libtorch once per process: from a folder that the options or <c>LOCALLLM_LIBTORCH</c> name (any libtorch, such as
/// the <c>torch/lib</c> of an installed PyTorch), else the one bundled with the package. Must run before TorchSharp's first call.
/// </summary>
internal static class TorchLibrary
{
    /// <summary>The environment variable that names a folder with libtorch.</summary>
    public const string EnvironmentVariable = "LOCALLLM_LIBTORCH";

    /// <summary>The file that every folder with libtorch has.</summary>
    public const string MainFile = "libtorch_cpu.so";

    private static readonly Lock LoadLock = new();
    private static readonly string[] CpuLibraries = ["libc10.so", "libtorch_cpu.so"];
    private static readonly string[] CudaLibraries = ["libc10_cuda.so", "libtorch_cuda.so"];
    private static readonly string[] UmbrellaLibraries = ["libtorch.so"];

    private static readonly Dictionary<string, IntPtr> Libraries = [];

    private static IntPtr s_torchCpu;
    private static string? s_loadedFrom;

    /// <summary>The folder of the libtorch that this process uses, or null before it is loaded.</summary>
    public static string? Folder { get; private set; }

    /// <summary>Loads libtorch if this process has not loaded it yet.</summary>
    /// <param name="libTorchPath">A folder with libtorch; null: the environment variable's or the bundled one.</param>
    /// <exception cref="EngineException">Kind Environment: no usable libtorch, or another folder was already loaded.</exception>
    public static void EnsureLoaded(string? libTorchPath = null)
    {
        RequireLinux();
        lock (LoadLock)
        {
            var folder = NullIfEmpty(libTorchPath) ?? NullIfEmpty(Environment.GetEnvironmentVariable(EnvironmentVariable));
            if (s_torchCpu != IntPtr.Zero)
            {
                if (folder is not null && s_loadedFrom != folder)
                    throw new EngineException(EngineErrorKind.Environment, $"libtorch is already loaded from {s_loadedFrom ?? "the bundled package"}; one process can hold only one. Start a new process for {folder}.");
                return;
            }

            LimitOpenMpSpinning();
            if (folder is not null)
                Preload(folder, NullIfEmpty(libTorchPath) is null ? EnvironmentVariable : "libtorch");
            StartTorchSharp();
            s_torchCpu = FindMapped("/libtorch_cpu.so");
            if (s_torchCpu == IntPtr.Zero)
                throw new EngineException(EngineErrorKind.Environment, "libtorch_cpu.so is not mapped although TorchSharp started. Set " + EnvironmentVariable + " to a libtorch folder.");
            Libraries[TorchShim.LibraryName] = s_torchCpu;
            s_loadedFrom = folder;
            NativeLibrary.SetDllImportResolver(typeof(TorchLibrary).Assembly, Resolve);
        }
    }

    private static void RequireLinux()
    {
        if (OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64)
            return;
        throw new EngineException(
            EngineErrorKind.Environment,
            $"LocalLlm runs on Linux x64; this process is {RuntimeInformation.RuntimeIdentifier}. Run it in a Linux container or under WSL on an x64 machine.");
    }

    // By default libgomp's idle threads spin for milliseconds, which starves an application that shares the cores
    // (measured: 5 times slower with two busy neighbours). libgomp reads these variables from the C environment when it is loaded.
    private static void LimitOpenMpSpinning()
    {
        const string spinCount = "5000"; // about 10 µs
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null && Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is null)
            _ = LibC.setenv("GOMP_SPINCOUNT", spinCount, overwrite: 0);
    }

    private static void Preload(string folder, string source)
    {
        if (!File.Exists(Path.Combine(folder, MainFile)))
            throw new EngineException(EngineErrorKind.Environment, $"{source} names {folder}, which has no {MainFile}. Name the folder that holds it, such as the torch/lib folder of an installed PyTorch.");

        // In the order of their dependencies.
        foreach (var name in (string[])[.. CpuLibraries, .. CudaLibraries, .. UmbrellaLibraries])
        {
            var path = Path.Combine(folder, name);
            if (!File.Exists(path))
                continue;
            try
            {
                NativeLibrary.Load(path);
            }
            catch (DllNotFoundException failure)
            {
                throw new EngineException(EngineErrorKind.Environment, $"{path} does not load: {failure.Message}", innerException: failure);
            }
        }
    }

    private static void StartTorchSharp()
    {
        try
        {
            using var first = torch.zeros(1);
        }
        catch (Exception failure) when (failure is TypeInitializationException or NotSupportedException or DllNotFoundException or EntryPointNotFoundException)
        {
            var cause = failure.GetBaseException().Message.ReplaceLineEndings(" ");
            throw new EngineException(
                EngineErrorKind.Environment,
                $"libtorch does not load: {cause} Needed: a 64-bit Linux with libstdc++ of GCC 13 or newer (GLIBCXX_3.4.32; eng/setup.sh installs it on Debian 12) and the libtorch package, or {EnvironmentVariable} naming a libtorch folder.",
                innerException: failure);
        }
    }

    /// <summary>Registers a loaded library, so that the engine's P/Invokes find it as <paramref name="name"/>.</summary>
    public static void AddLibrary(string name, IntPtr handle)
    {
        lock (Libraries)
            Libraries[name] = handle;
    }

    /// <summary>Whether this libtorch has a CUDA part; makes that part's C shim callable.</summary>
    public static bool TryLoadCuda()
    {
        lock (LoadLock)
        {
            if (s_torchCpu == IntPtr.Zero)
                EnsureLoaded();
            lock (Libraries)
            {
                if (Libraries.ContainsKey(Cuda.TorchCudaShim.LibraryName))
                    return true;
            }

            var library = FindMapped("/libtorch_cuda.so");
            if (library == IntPtr.Zero)
                return false;
            AddLibrary(Cuda.TorchCudaShim.LibraryName, library);
            return true;
        }
    }

    // The C shim must come from the same copy that TorchSharp has mapped.
    private static IntPtr FindMapped(string fileName)
    {
        foreach (var line in File.ReadLines("/proc/self/maps"))
        {
            var start = line.IndexOf('/');
            if (start <= 0 || !line.EndsWith(fileName, StringComparison.Ordinal))
                continue;
            Folder = Path.GetDirectoryName(line[start..]);
            return NativeLibrary.Load(line[start..]);
        }

        return IntPtr.Zero;
    }

    private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        lock (Libraries)
            return Libraries.GetValueOrDefault(name);
    }

    private static string? NullIfEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
