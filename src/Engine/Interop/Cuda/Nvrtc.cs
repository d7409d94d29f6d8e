using System.Runtime.InteropServices;
using System.Text;

namespace LocalLlm.Interop.Cuda;

/// <summary>
/// NVIDIA's runtime compiler: CUDA C++ source → machine code for one architecture, or PTX. It is looked for beside libtorch, in the CUDA
/// toolkit, and at <c>LOCALLLM_NVRTC</c>.
/// </summary>
internal static unsafe partial class Nvrtc
{
    /// <summary>The environment variable that names libnvrtc.so.</summary>
    public const string EnvironmentVariable = "LOCALLLM_NVRTC";

    private const string Library = "nvrtc";
    private static readonly Lock LoadLock = new();
    private static IntPtr s_library;

    /// <summary>The path of the loaded library; null before that.</summary>
    public static string? Path { get; private set; }

    /// <summary>Loads the library.</summary>
    /// <exception cref="EngineException">Kind Environment: not found; the message lists the searched places.</exception>
    public static void EnsureLoaded(string? libTorchFolder)
    {
        if (TryLoad(libTorchFolder))
            return;
        throw new EngineException(
            EngineErrorKind.Environment,
            $"NVRTC (libnvrtc.so of CUDA 12 or 13) was not found: looked beside libtorch, under /usr/local/cuda*, in Python's nvidia packages and on the library path. Install it, or set {EnvironmentVariable} to the file.");
    }

    /// <summary>Loads the library if it exists.</summary>
    public static bool TryLoad(string? libTorchFolder)
    {
        lock (LoadLock)
        {
            if (s_library != IntPtr.Zero)
                return true;
            var candidates = Candidates(libTorchFolder).ToArray();
            foreach (var candidate in candidates)
            {
                if (!NativeLibrary.TryLoad(candidate, out s_library))
                    continue;
                Path = candidate;
                TorchLibrary.AddLibrary(Library, s_library);
                return true;
            }

            return false;
        }
    }

    /// <summary>Major and minor version, such as 13.0.</summary>
    public static (int Major, int Minor) Version()
    {
        int major, minor;
        Check(nvrtcVersion(&major, &minor), "nvrtcVersion", IntPtr.Zero);
        return (major, minor);
    }

    /// <summary>Compiles a source.</summary>
    /// <param name="source">The source text.</param>
    /// <param name="name">The source's name, for messages.</param>
    /// <param name="options">Options of the compiler.</param>
    /// <param name="portable">Whether to return PTX, ending with a zero byte; false: machine code (a cubin).</param>
    /// <exception cref="EngineException">Kind Environment: the source does not compile; the message has the compiler's log.</exception>
    public static byte[] Compile(string source, string name, IReadOnlyList<string> options, bool portable = false)
    {
        IntPtr program;
        fixed (byte* sourceText = Encoding.UTF8.GetBytes(source + '\0'))
        fixed (byte* nameText = Encoding.UTF8.GetBytes(name + '\0'))
            Check(nvrtcCreateProgram(&program, sourceText, nameText, 0, null, null), "nvrtcCreateProgram", IntPtr.Zero);
        var pointers = stackalloc byte*[options.Count];
        try
        {
            for (var i = 0; i < options.Count; i++)
                pointers[i] = (byte*)Marshal.StringToCoTaskMemUTF8(options[i]);
            Check(nvrtcCompileProgram(program, options.Count, pointers), $"compiling {name}", program);
            nuint size;
            Check(portable ? nvrtcGetPTXSize(program, &size) : nvrtcGetCUBINSize(program, &size), "asking for the size of the image", program);
            var image = new byte[(int)size];
            fixed (byte* target = image)
                Check(portable ? nvrtcGetPTX(program, target) : nvrtcGetCUBIN(program, target), "fetching the image", program);
            return image;
        }
        finally
        {
            for (var i = 0; i < options.Count; i++)
                Marshal.FreeCoTaskMem((IntPtr)pointers[i]);
            _ = nvrtcDestroyProgram(&program);
        }
    }

    private static IEnumerable<string> Candidates(string? libTorchFolder)
    {
        if (Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } named)
        {
            yield return named;
            yield break;
        }

        string[] names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
        var folders = new List<string>();
        if (libTorchFolder is not null)
        {
            folders.Add(libTorchFolder);
            // In PyTorch's wheels, site-packages/torch/lib is next to site-packages/nvidia/.../lib.
            var packages = System.IO.Path.Combine(libTorchFolder, "..", "..", "nvidia");
            folders.Add(System.IO.Path.Combine(packages, "cu13", "lib"));
            folders.Add(System.IO.Path.Combine(packages, "cuda_nvrtc", "lib"));
        }

        if (Directory.Exists("/usr/local"))
        {
            foreach (var toolkit in Directory.EnumerateDirectories("/usr/local", "cuda*").OrderDescending(StringComparer.Ordinal))
            {
                folders.Add(System.IO.Path.Combine(toolkit, "targets", "x86_64-linux", "lib"));
                folders.Add(System.IO.Path.Combine(toolkit, "lib64"));
            }
        }

        foreach (var folder in folders)
        {
            foreach (var name in names)
            {
                var path = System.IO.Path.Combine(folder, name);
                if (File.Exists(path))
                    yield return path;
            }
        }

        foreach (var name in names)
            yield return name;
    }

    private static void Check(int code, string what, IntPtr program)
    {
        if (code == 0)
            return;
        var log = "";
        nuint size;
        if (program != IntPtr.Zero && nvrtcGetProgramLogSize(program, &size) == 0 && size > 1)
        {
            var bytes = new byte[(int)size];
            fixed (byte* target = bytes)
                _ = nvrtcGetProgramLog(program, target);
            log = Encoding.UTF8.GetString(bytes).TrimEnd('\0');
        }

        throw new EngineException(EngineErrorKind.Environment, $"NVRTC ({Path}) failed at {what} with code {code}. {log}".TrimEnd());
    }

    [LibraryImport(Library)]
    private static partial int nvrtcVersion(int* major, int* minor);

    [LibraryImport(Library)]
    private static partial int nvrtcCreateProgram(IntPtr* program, byte* source, byte* name, int headerCount, byte** headers, byte** includeNames);

    [LibraryImport(Library)]
    private static partial int nvrtcCompileProgram(IntPtr program, int optionCount, byte** options);

    [LibraryImport(Library)]
    private static partial int nvrtcGetCUBINSize(IntPtr program, nuint* size);

    [LibraryImport(Library)]
    private static partial int nvrtcGetCUBIN(IntPtr program, byte* image);

    [LibraryImport(Library)]
    private static partial int nvrtcGetPTXSize(IntPtr program, nuint* size);

    [LibraryImport(Library)]
    private static partial int nvrtcGetPTX(IntPtr program, byte* text);

    [LibraryImport(Library)]
    private static partial int nvrtcGetProgramLogSize(IntPtr program, nuint* size);

    [LibraryImport(Library)]
    private static partial int nvrtcGetProgramLog(IntPtr program, byte* log);

    [LibraryImport(Library)]
    private static partial int nvrtcDestroyProgram(IntPtr* program);
}
