namespace LocalLlm.Hub;

/// <summary>
/// A lock between processes, on the file that huggingface_hub locks too; on Unix both use flock. It polls, because waiting in flock cannot
/// be cancelled.
/// </summary>
internal static class FileLock
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    /// <summary>Waits for the lock; dispose it to release it. The file stays, because another process may hold a lock on it.</summary>
    /// <exception cref="EngineException">Environment: the file cannot be created.</exception>
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

    // EWOULDBLOCK on Linux and on macOS, and Windows' sharing violation.
    private static bool IsHeld(IOException failure) => (failure.HResult & 0xFFFF) is 11 or 35 or 32;
}
