using System.Globalization;

namespace LocalLlm.Ops;

/// <summary>The host memory that this process can use.</summary>
internal static class HostMemory
{
    /// <summary>
    /// Bytes that can be allocated without swapping: the kernel's estimate, or less if the process's control group allows less.
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
