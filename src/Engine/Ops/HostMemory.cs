using System.Globalization;

namespace LocalLlm.Ops;

/// <summary>What the machine's memory holds for this process.</summary>
internal static class HostMemory
{
    /// <summary>
    /// Bytes that can be taken without swapping: the kernel's estimate, or less where the process's control group allows less.
    /// </summary>
    public static long AvailableBytes()
    {
        var available = FromMemInfo() ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (FromControlGroup("/sys/fs/cgroup/memory.max") is { } limit && FromControlGroup("/sys/fs/cgroup/memory.current") is { } used)
            available = Math.Min(available, Math.Max(0, limit - used));
        return available;
    }

    private static long? FromMemInfo()
    {
        const string path = "/proc/meminfo";
        if (!File.Exists(path))
            return null;
        foreach (var line in File.ReadLines(path))
        {
            if (!line.StartsWith("MemAvailable:", StringComparison.Ordinal))
                continue;
            var kibibytes = line["MemAvailable:".Length..].Replace("kB", "", StringComparison.Ordinal).Trim();
            return long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024;
        }

        return null;
    }

    private static long? FromControlGroup(string path) =>
        File.Exists(path) && long.TryParse(File.ReadAllText(path).Trim(), CultureInfo.InvariantCulture, out var bytes) ? bytes : null;
}
