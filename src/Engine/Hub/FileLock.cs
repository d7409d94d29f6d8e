namespace LocalLlm.Hub;

/// <summary>
/// A lock between processes, on the file that huggingface_hub locks too: on Unix both use flock. Waits by trying again, as flock has no
/// other way to be cancelled.
/// </summary>
internal static class FileLock
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    /// <summary>Waits for the lock; disposing gives it back. The file stays: removing it would take it from under another's lock.</summary>
    /// <exception cref="EngineException">Environment: the file cannot be made.</exception>
    public static async Task<IDisposable> TakeAsync(string path, CancellationToken cancellationToken)
    {
        Disk.Do(path, () => Directory.CreateDirectory(Path.GetDirectoryName(path)!));
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1);
            }
            catch (UnauthorizedAccessException e)
            {
                throw Disk.Fault(path, e);
            }
            catch (IOException e) when (!IsHeld(e))
            {
                throw Disk.Fault(path, e);
            }
            catch (IOException)
            {
                await Task.Delay(Pause, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    // EWOULDBLOCK of Linux and of macOS, and Windows' sharing violation.
    private static bool IsHeld(IOException failure) => (failure.HResult & 0xFFFF) is 11 or 35 or 32;
}
