using System.Globalization;

namespace LocalLlm.Ops;

/// <summary>
/// How many threads of this process can compute at once. The threads of a step wait for one another, so one thread more slows all of them
/// down: it waits for its turn (a control group's quota) or shares the units of a core (the core's second hardware thread).
/// </summary>
internal static class HostCores
{
    private static readonly Lazy<int> OfProcess = new(() => Math.Min(CountBelow("/"), Environment.ProcessorCount));

    /// <summary>
    /// Number of cores of this process: the physical cores that it may run on, limited by the quotas of its control groups. Read once, at
    /// the first call.
    /// </summary>
    public static int Count => OfProcess.Value;

    /// <summary>As <see cref="Count"/>, from the system's files below a folder; at least 1, and 1 if the files say nothing.</summary>
    /// <param name="root">The folder that holds <c>proc</c> and <c>sys</c>.</param>
    public static int CountBelow(string root)
    {
        var cores = CpusBelow(root).Count;
        var quota = Quotas(root).Append(double.PositiveInfinity).Min();
        return Math.Max(1, quota < cores ? (int)quota : cores);
    }

    /// <summary>One CPU of each core that this process may run on.</summary>
    public static IReadOnlyList<int> Cpus => CpusBelow("/");

    /// <summary>As <see cref="Cpus"/>, from the system's files below a folder.</summary>
    public static IReadOnlyList<int> CpusBelow(string root) => [.. AllowedCpus(root).DistinctBy(cpu => CoreOf(root, cpu))];

    private static IEnumerable<int> AllowedCpus(string root)
    {
        const string key = "Cpus_allowed_list:";
        var line = Lines(Path.Combine(root, "proc/self/status")).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal));
        return line is null ? Enumerable.Range(0, Environment.ProcessorCount) : Numbers(line[key.Length..]);
    }

    // A key that all hardware threads of one core share.
    private static string CoreOf(string root, int cpu)
    {
        var folder = string.Create(CultureInfo.InvariantCulture, $"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        return Lines(Path.Combine(root, folder)).FirstOrDefault() ?? cpu.ToString(CultureInfo.InvariantCulture);
    }

    // Parses lists such as 0-3,8,10-11.
    private static IEnumerable<int> Numbers(string list)
    {
        foreach (var part in list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var ends = part.Split('-');
            if (!int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first) || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var last))
                continue;
            for (var number = first; number <= last; number++)
                yield return number;
        }
    }

    // Quotas in cores, of the process's control group and its ancestors, in cgroup v1 and v2.
    private static IEnumerable<double> Quotas(string root)
    {
        foreach (var line in Lines(Path.Combine(root, "proc/self/cgroup")))
        {
            var parts = line.Split(':', 3); // number, controllers, path
            if (parts.Length < 3)
                continue;
            var isSecondVersion = parts[1].Length == 0;
            if (!isSecondVersion && !parts[1].Split(',').Contains("cpu"))
                continue;
            string[] mounts = isSecondVersion ? ["sys/fs/cgroup", "sys/fs/cgroup/unified"] : ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"];
            foreach (var group in mounts.SelectMany(mount => FoldersUpFrom(Path.Combine(root, mount), parts[2])))
            {
                if ((isSecondVersion ? SecondVersion(group) : FirstVersion(group)) is { } quota)
                    yield return quota;
            }
        }
    }

    // In a container the path is often one on the host; the container's own group is then the mount itself.
    private static IEnumerable<string> FoldersUpFrom(string mount, string path)
    {
        var names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (var count = names.Length; count >= 0; count--)
            yield return Path.Combine([mount, .. names[..count]]);
    }

    private static double? SecondVersion(string group) =>
        Lines(Path.Combine(group, "cpu.max")).FirstOrDefault()?.Split(' ') is [var quota, var period] ? Ratio(quota, period) : null;

    private static double? FirstVersion(string group) =>
        Lines(Path.Combine(group, "cpu.cfs_quota_us")).FirstOrDefault() is { } quota && Lines(Path.Combine(group, "cpu.cfs_period_us")).FirstOrDefault() is { } period
            ? Ratio(quota, period) : null;

    // "max" and -1: no limit.
    private static double? Ratio(string quota, string period) =>
        long.TryParse(quota, NumberStyles.None, CultureInfo.InvariantCulture, out var time) && long.TryParse(period, NumberStyles.None, CultureInfo.InvariantCulture, out var whole) && whole > 0
            ? (double)time / whole : null;

    private static string[] Lines(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllLines(path) : [];
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return []; // a core that has just gone offline, or a file that this user may not read
        }
    }
}
