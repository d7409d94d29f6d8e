using Microsoft.Win32.SafeHandles;

namespace LocalLlm.Weights;

/// <summary>
/// A file that is read by position, never beyond its length when it was opened, so that no number in it can lead outside. Safe for
/// concurrent reading.
/// </summary>
internal sealed class CheckedFile : IDisposable
{
    private readonly SafeFileHandle _handle;

    private CheckedFile(string path, SafeFileHandle handle, long length)
    {
        Path = path;
        Name = System.IO.Path.GetFileName(path);
        _handle = handle;
        Length = length;
    }

    /// <summary>The path it was opened with.</summary>
    public string Path { get; }

    /// <summary>Its name for messages.</summary>
    public string Name { get; }

    /// <summary>Bytes at the time of opening.</summary>
    public long Length { get; }

    /// <summary>Opens a regular file, following links. Nothing is read.</summary>
    /// <exception cref="EngineException">It is missing, is a pipe, a device or a folder, or cannot be read.</exception>
    public static CheckedFile Open(string path)
    {
        var name = System.IO.Path.GetFileName(path);
        // A pipe has length 0 and would block the open.
        if (ModelFolderFile.Length(path) is not { } length)
            throw EngineException.ModelFolder(name, "is missing, or is not a file");
        if (length == 0)
            throw EngineException.ModelFolder(name, "is empty");
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path);
            return new CheckedFile(path, handle, RandomAccess.GetLength(handle));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            handle?.Dispose();
            throw EngineException.ModelFolder(name, "cannot be opened: " + e.Message, e);
        }
    }

    /// <summary>Reads bytes at a position.</summary>
    /// <exception cref="EngineException">Some are outside the file, or cannot be read.</exception>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public void Read(long offset, Span<byte> target)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        if (offset < 0 || offset > Length - target.Length)
            throw Error($"has {Length} bytes, but {target.Length} were wanted at byte {offset}: it is truncated or damaged");
        Read(_handle, Name, offset, target);
    }

    /// <summary>Creates an error about this file.</summary>
    public EngineException Error(string problem) => EngineException.ModelFolder(Name, problem);

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    /// <summary>Fills <paramref name="target"/> from a handle.</summary>
    /// <exception cref="EngineException">The file ends too early, or cannot be read.</exception>
    internal static void Read(SafeFileHandle handle, string name, long offset, Span<byte> target)
    {
        try
        {
            for (var done = 0; done < target.Length;)
            {
                var read = RandomAccess.Read(handle, target[done..], offset + done);
                if (read == 0)
                    throw EngineException.ModelFolder(name, "has become shorter while it was read; copy it again and restart");
                done += read;
            }
        }
        catch (IOException e)
        {
            throw EngineException.ModelFolder(name, "cannot be read: " + e.Message, e);
        }
    }
}
