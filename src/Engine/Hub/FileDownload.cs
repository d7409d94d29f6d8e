using Tasks = System.Threading.Tasks.Parallel;

namespace LocalLlm.Hub;

/// <summary>
/// Downloads one file to the disk. It fetches several ranges at once, resumes each where it broke, and checks the whole file's digest.
/// </summary>
internal sealed class FileDownload(HubClient client, HubErrors errors, HubOptions options, Uri address, RemoteFile file, string partial, Action<long> progressed)
{
    // A killed process loses the bytes since its last save: a small part of the file, whatever the file's size.
    private const int SavesOfAFile = 256;
    private const long MinBetweenSaves = 256 << 10;
    private const long MaxBetweenSaves = 32 << 20;

    private readonly Backoff _backoff = new(options.Time);
    private long _unsaved;

    /// <summary>Downloads the file to <c>partial</c>.</summary>
    /// <param name="beginning">Bytes that it already begins with.</param>
    /// <param name="cancellationToken">Stops; the next download uses the bytes that have arrived.</param>
    /// <exception cref="HubFault">The network failed several times.</exception>
    /// <exception cref="EngineException">The hub or the disk refused, or the content did not match its digest twice.</exception>
    public async Task RunAsync(long beginning, CancellationToken cancellationToken)
    {
        var size = file.Size!.Value;
        var plan = RangePlan.Open(partial, size, beginning, (int)Math.Clamp(size / options.MinRangeBytes, 1, options.MaxParallelRanges));
        progressed(plan.Done);
        for (var tries = 1; ; tries++)
        {
            await CollectAsync(plan, cancellationToken).ConfigureAwait(false);
            var found = file.Digest is null ? null : FileHash.Of(partial, file, cancellationToken);
            if (found == file.Digest)
                break;
            progressed(-plan.Done);
            Disk.Do(partial, () => File.Delete(partial));
            if (tries == 2)
            {
                RangePlan.Delete(partial);
                throw EngineException.ModelFolder(
                    SafeNames.Quote(file.Path),
                    $"its {(file.Digest!.Length == 64 ? "sha256" : "git blob sha1")} is {found}, but the hub lists {file.Digest} (two attempts); the file was deleted. The hub, a mirror or a proxy sends the wrong file");
            }

            plan.Restart();
        }

        RangePlan.Delete(partial);
    }

    private async Task CollectAsync(RangePlan plan, CancellationToken cancellationToken)
    {
        for (var restarts = 0; ; restarts++)
        {
            try
            {
                using var output = Disk.Do(partial, () => File.OpenHandle(partial, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, FileOptions.Asynchronous));
                var reader = new RangeReader(client, errors, address, file, plan, output, partial, Progressed);
                await Tasks.ForEachAsync(
                    plan.Ranges.Where(range => !range.IsComplete),
                    new ParallelOptions { MaxDegreeOfParallelism = options.MaxParallelRanges, CancellationToken = cancellationToken },
                    async (range, stop) => await FetchAsync(range, plan, reader, stop).ConfigureAwait(false)).ConfigureAwait(false);
                return;
            }
            catch (HubFault fault) when (fault.RangesIgnored && restarts < Backoff.MaxTries)
            {
                progressed(-plan.Done);
                plan.Restart();
                if (restarts > 0)
                    await _backoff.WaitAsync(restarts, fault, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                plan.Save();
            }
        }

        void Progressed(long bytes)
        {
            progressed(bytes);
            if (Interlocked.Add(ref _unsaved, bytes) < Math.Clamp(file.Size!.Value / SavesOfAFile, MinBetweenSaves, MaxBetweenSaves))
                return;
            Interlocked.Exchange(ref _unsaved, 0);
            plan.Save();
        }
    }

    private async Task FetchAsync(ByteRange range, RangePlan plan, RangeReader reader, CancellationToken cancellationToken)
    {
        var failures = 0;
        while (!range.IsComplete)
        {
            var before = range.Done;
            try
            {
                await reader.ReadAsync(range, cancellationToken).ConfigureAwait(false);
            }
            catch (HubFault fault) when (!fault.RangesIgnored)
            {
                plan.Save();
                failures = range.Done > before ? 1 : failures + 1;
                if (failures == Backoff.MaxTries)
                    throw;
                await _backoff.WaitAsync(failures, fault, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
