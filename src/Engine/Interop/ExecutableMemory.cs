namespace LocalLlm.Interop;

/// <summary>
/// Machine code that the process can run. The memory is first writable and then executable, never both at once. Only on Linux on x64, whose
/// calling convention the code follows.
/// </summary>
internal sealed unsafe class ExecutableMemory : IDisposable
{
    private const int ReadAndWrite = 1 | 2;
    private const int ReadAndRun = 1 | 4;
    private const int PrivateAnonymous = 0x22;
    private static readonly void* Failed = (void*)-1;

    private readonly nuint _length;

    private ExecutableMemory(byte* code, nuint length)
    {
        Code = code;
        _length = length;
    }

    /// <summary>Address of the first byte; null after <see cref="Dispose"/>.</summary>
    public byte* Code { get; private set; }

    /// <summary>Copies code to executable memory.</summary>
    /// <returns>Null on another system, or if the system does not allow it (a hardened one may not).</returns>
    public static ExecutableMemory? TryCreate(ReadOnlySpan<byte> code)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        var length = (nuint)code.Length;
        var memory = LibC.mmap(null, length, ReadAndWrite, PrivateAnonymous, -1, 0);
        if (memory == Failed)
            return null;
        code.CopyTo(new(memory, code.Length));
        if (LibC.mprotect(memory, length, ReadAndRun) == 0)
            return new((byte*)memory, length);
        _ = LibC.munmap(memory, length);
        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Code != null)
            _ = LibC.munmap(Code, _length);
        Code = null;
    }
}
