using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace LocalLlm.Weights;

/// <summary>
/// An open safetensors file, mapped read-only into memory. Opening reads the header's pages and no others; <see cref="Read"/> reads tensors
/// by their position in the file. Safe for concurrent reading.
/// <para>
/// The mapping and every pointer into it are valid until <see cref="Dispose"/>. If another process truncates the file while its header or a
/// pointer is read, touching the lost pages ends the process (SIGBUS); no reader of a mapping can prevent this.
/// </para>
/// </summary>
internal sealed unsafe class SafetensorsFile : IWeightFile
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly SafetensorsHeader _header;
    private readonly SafeFileHandle _handle; // the mapping owns its stream
    private byte* _start;

    private SafetensorsFile(string path, SafeFileHandle handle, MemoryMappedFile file, MemoryMappedViewAccessor view, byte* start, SafetensorsHeader header)
    {
        Path = path;
        _handle = handle;
        _file = file;
        _view = view;
        _start = start;
        _header = header;
    }

    /// <summary>
    /// Reads bytes of a tensor by position from the file, not through the mapping, so that a truncated file is an ordinary error here.
    /// </summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="start">First byte, relative to the tensor's start.</param>
    /// <param name="target">Filled completely.</param>
    /// <exception cref="EngineException">The file ends too early, or cannot be read
    /// (<see cref="EngineErrorKind.ModelFolder"/>).</exception>
    public void Read(TensorInfo tensor, long start, Span<byte> target)
    {
        ObjectDisposedException.ThrowIf(_start is null, this);
        CheckedFile.Read(_handle, System.IO.Path.GetFileName(Path), tensor.Offset + start, target);
    }

    /// <summary>The path it was opened with.</summary>
    public string Path { get; }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => _header.Tensors;

    /// <summary>The <c>__metadata__</c> map; empty if the file has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Maps a file and checks its header completely.</summary>
    /// <exception cref="EngineException">
    /// The file is missing, unreadable, or breaks a rule of the format (<see cref="EngineErrorKind.ModelFolder"/>).
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        var name = System.IO.Path.GetFileName(path);
        // Checks the length first: a pipe or device has length 0 and must not be opened, and an empty file cannot be mapped.
        var length = ModelFolderFile.Length(path) ?? throw EngineException.ModelFolder(name, "is missing, or is not a file");
        if (length < SafetensorsHeader.PrefixLength)
            SafetensorsHeader.ReadLength(name, [], length);

        MemoryMappedFile? file = null;
        MemoryMappedViewAccessor? view = null;
        byte* start = null;
        try
        {
            (file, length, var handle) = Map(path);
            view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            start += view.PointerOffset;
            var header = ReadHeader(name, start, length);
            return new SafetensorsFile(path, handle, file, view, start, header);
        }
        catch (Exception e)
        {
            Release(file, view, start);
            if (e is IOException or UnauthorizedAccessException or ArgumentException)
                throw EngineException.ModelFolder(name, "cannot be mapped: " + e.Message, e);
            throw;
        }
    }

    /// <summary>The first byte of a tensor of this file; <see cref="TensorInfo.ByteLength"/> bytes may be read from it.</summary>
    /// <exception cref="ArgumentException">The tensor belongs to another file.</exception>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public byte* Pointer(TensorInfo tensor)
    {
        ObjectDisposedException.ThrowIf(_start is null, this);
        // Offsets were checked against this file only.
        if (!Tensors.TryGetValue(tensor.Name, out var own) || !ReferenceEquals(own, tensor))
            throw new ArgumentException($"tensor {tensor.Name} is not of {Path}", nameof(tensor));
        return _start + tensor.Offset;
    }

    /// <summary>The bytes of a tensor of less than 2 GiB; valid until <see cref="Dispose"/>.</summary>
    /// <exception cref="ArgumentException">The tensor is larger, or belongs to another file.</exception>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public ReadOnlySpan<byte> Bytes(TensorInfo tensor)
    {
        var pointer = Pointer(tensor);
        if (tensor.ByteLength > int.MaxValue)
            throw new ArgumentException($"tensor of {tensor.ByteLength} bytes; a span ends at 2 GiB: use the pointer", nameof(tensor));
        return new ReadOnlySpan<byte>(pointer, (int)tensor.ByteLength);
    }

    /// <summary>Unmaps the file, which invalidates its pointers and spans.</summary>
    public void Dispose()
    {
        var start = _start;
        _start = null;
        if (start is not null)
            Release(_file, _view, start);
    }

    private static (MemoryMappedFile File, long Length, SafeFileHandle Handle) Map(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        try
        {
            // The length of the open file; the path may lead elsewhere by now.
            var length = stream.Length;
            var file = MemoryMappedFile.CreateFromFile(
                stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            return (file, length, stream.SafeFileHandle);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    private static SafetensorsHeader ReadHeader(string name, byte* start, long length)
    {
        var prefix = new ReadOnlySpan<byte>(start, (int)Math.Min(length, SafetensorsHeader.PrefixLength));
        var headerLength = SafetensorsHeader.ReadLength(name, prefix, length);
        return SafetensorsHeader.Parse(name, new ReadOnlySpan<byte>(start + SafetensorsHeader.PrefixLength, headerLength), length);
    }

    private static void Release(MemoryMappedFile? file, MemoryMappedViewAccessor? view, byte* start)
    {
        if (start is not null)
            view!.SafeMemoryMappedViewHandle.ReleasePointer();
        view?.Dispose();
        file?.Dispose();
    }
}
