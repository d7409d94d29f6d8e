using System.Globalization;

namespace LocalLlm.Hub;

/// <summary>Accesses the file system and reports failures in one sentence.</summary>
internal static class Disk
{
    /// <summary>The size of a file, following links; null: there is no file.</summary>
    public static long? Length(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (file.LinkTarget is not null)
                file = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo;
            return file is { Exists: true } ? file.Length : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Runs an operation on a path.</summary>
    /// <exception cref="EngineException">Environment: the system refused.</exception>
    public static T Do<T>(string path, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw Fault(path, e);
        }
    }

    /// <summary>Runs an operation on a path.</summary>
    /// <exception cref="EngineException">Environment: the system refused.</exception>
    public static void Do(string path, Action work) => Do(path, () =>
    {
        work();
        return 0;
    });

    /// <summary>A failure of the system as an error with one sentence.</summary>
    public static EngineException Fault(string path, Exception failure) =>
        new(EngineErrorKind.Environment, $"'{path}' cannot be written ({failure.Message}); free the disk, or name another folder with --download-dir or HF_HOME.", innerException: failure);

    /// <summary>Refuses to begin what the disk has no space for.</summary>
    /// <exception cref="EngineException">Environment: fewer bytes are free.</exception>
    public static void RequireSpace(string folder, long bytes)
    {
        // Some file systems report 0 for "unknown"; a full one fails when it is written to.
        if (Free(folder) is > 0 and var free && free < bytes)
        {
            throw new EngineException(EngineErrorKind.Environment, string.Create(
                CultureInfo.InvariantCulture,
                $"the download needs {bytes:N0} bytes, but '{folder}' has {free:N0} free; free the disk, or name another folder with --download-dir or HF_HOME."));
        }
    }

    /// <summary>Writes a small text atomically: readers see the old or the new one, never half of it.</summary>
    public static void WriteWhole(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            File.WriteAllText(temporary, text);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    // The folder may not exist yet, and some file systems do not report free space.
    private static long? Free(string folder)
    {
        for (var path = Path.GetFullPath(folder); path is not null; path = Path.GetDirectoryName(path))
        {
            if (!Directory.Exists(path))
                continue;
            try
            {
                return new DriveInfo(path).AvailableFreeSpace;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                return null;
            }
        }

        return null;
    }
}
