using System.Globalization;

namespace LocalLlm.Hub;

/// <summary>The file system, with failures said in one sentence.</summary>
internal static class Disk
{
    /// <summary>The size of a file, links followed; null where there is none.</summary>
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

    /// <summary>Does something to a path.</summary>
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

    /// <summary>Does something to a path.</summary>
    /// <exception cref="EngineException">Environment: the system refused.</exception>
    public static void Do(string path, Action work) => Do(path, () =>
    {
        work();
        return 0;
    });

    /// <summary>A refusal of the system in one sentence.</summary>
    public static EngineException Fault(string path, Exception failure) =>
        new(EngineErrorKind.Environment, $"'{path}' cannot be written ({failure.Message}); free the disk, or name another folder with --download-dir or HF_HOME.", innerException: failure);

    /// <summary>Refuses to begin what cannot end.</summary>
    /// <exception cref="EngineException">Environment: fewer bytes are free.</exception>
    public static void RequireSpace(string folder, long bytes)
    {
        // Some file systems say 0 for "not known"; one that is full says so when it is written to.
        if (Free(folder) is > 0 and var free && free < bytes)
        {
            throw new EngineException(EngineErrorKind.Environment, string.Create(
                CultureInfo.InvariantCulture,
                $"the download needs {bytes:N0} bytes, but '{folder}' has {free:N0} free; free the disk, or name another folder with --download-dir or HF_HOME."));
        }
    }

    /// <summary>Writes a small text so that readers see the old or the new one, never half of it.</summary>
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

    // The folder may not exist yet; some file systems do not say.
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
