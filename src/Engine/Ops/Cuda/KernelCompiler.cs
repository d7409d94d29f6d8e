using System.Security.Cryptography;
using System.Text;
using LocalLlm.Interop.Cuda;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Embedded CUDA sources → loaded kernels of one device. Caches machine code (PTX if the card is newer than the target architecture) on
/// disk (<c>$XDG_CACHE_HOME/localllm/kernels</c>, else under <c>~/.cache</c>), by the hash of source, options and compiler. Code that
/// does not load is compiled anew. Not thread-safe.
/// </summary>
internal sealed unsafe class KernelCompiler(CudaDevice device) : IDisposable
{
    private const string CommonSource = "common.cu";
    private const string WarpgroupSource = "warpgroup.cu";
    private const int RegistersAttribute = 4;
    private readonly Dictionary<(string Source, string Function, string Defines), CudaKernel> _kernels = [];
    private readonly Dictionary<(string Source, string Defines), IntPtr> _modules = [];

    /// <summary>The macro that chooses the element type of a source.</summary>
    public static string TypeMacro(ScalarType type) => type switch
    {
        ScalarType.Float32 => "TYPE=0",
        ScalarType.BFloat16 => "TYPE=1",
        ScalarType.Float16 => "TYPE=2",
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not an activation type"),
    };

    /// <summary>A kernel of a source, compiled with some macros.</summary>
    /// <param name="source">Name of the embedded file, such as <c>gemv.cu</c>; or several names, separated by spaces, whose files are
    /// joined.</param>
    /// <param name="function">The kernel's name.</param>
    /// <param name="defines">Macros such as <c>TYPE=1 ROWS=2</c>, separated by spaces.</param>
    public CudaKernel Get(string source, string function, string defines)
    {
        if (_kernels.TryGetValue((source, function, defines), out var kernel))
            return kernel;
        if (!_modules.TryGetValue((source, defines), out var module))
            _modules.Add((source, defines), module = LoadModule(source, defines));
        IntPtr handle;
        CudaException.Check(CudaDriver.cuModuleGetFunction(&handle, module, function), $"finding the kernel {function}");
        // Load the kernel now. Else the driver loads it at its first launch, and may wait until the card is idle: never, if a peer waits
        // for this launch.
        int registers;
        CudaException.Check(CudaDriver.cuFuncGetAttribute(&registers, RegistersAttribute, handle), $"loading the kernel {function}");
        kernel = new(handle, function, device);
        _kernels.Add((source, function, defines), kernel);
        return kernel;
    }

    /// <summary>
    /// Compiles a source for several sets of macros at once, on all cores. <see cref="Get"/> then finds the machine code on disk.
    /// </summary>
    /// <param name="source">As in <see cref="Get"/>.</param>
    /// <param name="defines">Sets of macros, each as in <see cref="Get"/>.</param>
    public void Prepare(string source, IReadOnlyCollection<string> defines)
    {
        var text = TextOf(source);
        System.Threading.Tasks.Parallel.ForEach(defines, set =>
        {
            var options = OptionsOf(source, device.ComputeCapability, set, device.IsEmulated);
            if (CachePath(text, options) is { } path && Read(path) is null)
                Store(path, Nvrtc.Compile(text, source, options, device.IsEmulated));
        });
    }

    /// <summary>The full text of a source, as passed to the compiler.</summary>
    /// <param name="source">As in <see cref="Get"/>.</param>
    public static string TextOf(string source) => string.Concat([SourceOf(CommonSource), .. source.Split(' ').Select(SourceOf)]);

    /// <summary>The compiler's options.</summary>
    /// <param name="source">As in <see cref="Get"/>.</param>
    /// <param name="computeCapability">Compute capability to compile for, such as 90.</param>
    /// <param name="defines">As in <see cref="Get"/>.</param>
    /// <param name="portable">Whether the result is PTX, for a newer card's driver to translate.</param>
    public static string[] OptionsOf(string source, int computeCapability, string defines, bool portable = false) =>
    [
        // Warpgroup instructions need the architecture-specific target ("a").
        $"--gpu-architecture={(portable ? "compute" : "sm")}_{computeCapability}{(source.Contains(WarpgroupSource, StringComparison.Ordinal) ? "a" : "")}",
        "--std=c++17",
        "--define-macro=BLOCK_SIZE=" + AttentionMetadata.BlockSize,
        .. defines.Split(' ').Select(define => "--define-macro=" + define),
    ];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var module in _modules.Values)
            _ = CudaDriver.cuModuleUnload(module);
    }

    private IntPtr LoadModule(string source, string defines)
    {
        var text = TextOf(source);
        var options = OptionsOf(source, device.ComputeCapability, defines, device.IsEmulated);
        var path = CachePath(text, options);
        if (path is not null && Read(path) is { } kept && TryLoad(kept, out var cached))
            return cached;
        var image = Nvrtc.Compile(text, source, options, device.IsEmulated);
        if (path is not null)
            Store(path, image);
        return TryLoad(image, out var module)
            ? module
            : throw new EngineException(EngineErrorKind.Environment, $"the driver does not load {source} as NVRTC {Nvrtc.Version()} compiled it for {device.Name}; update the driver or use an older NVRTC.");
    }

    private static bool TryLoad(byte[] image, out IntPtr module)
    {
        var handle = IntPtr.Zero;
        fixed (byte* data = image)
        {
            var loaded = image.Length > 0 && CudaDriver.cuModuleLoadData(&handle, data) == 0;
            module = handle;
            return loaded;
        }
    }

    // A cache that cannot be written is not a fault: every process then compiles the kernels.
    private static void Store(string path, byte[] image)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var own = $"{path}.{Guid.NewGuid():N}";
            File.WriteAllBytes(own, [.. SHA256.HashData(image), .. image]);
            File.Move(own, path, overwrite: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
        }
    }

    // The machine code after its hash, or null if the hash does not match: the driver reads as far as the code says, so it must never get a
    // truncated file.
    private static byte[]? Read(string path)
    {
        try
        {
            if (!File.Exists(path))
                return null;
            var file = File.ReadAllBytes(path);
            var image = file.AsSpan(Math.Min(file.Length, SHA256.HashSizeInBytes));
            return file.Length > SHA256.HashSizeInBytes && SHA256.HashData(image).AsSpan().SequenceEqual(file.AsSpan(0, SHA256.HashSizeInBytes)) ? image.ToArray() : null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string? CachePath(string text, string[] options)
    {
        var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache
            ? cache
            : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, ".cache") : null;
        if (root is null)
            return null;
        var key = string.Join('\n', [text, .. options, Nvrtc.Version().ToString()]);
        return Path.Combine(root, "localllm", "kernels", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key))) + ".cubin");
    }

    private static string SourceOf(string name)
    {
        using var stream = typeof(KernelCompiler).Assembly.GetManifestResourceStream($"LocalLlm.Kernels.{name}")
            ?? throw new InvalidOperationException($"no embedded source {name}");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
