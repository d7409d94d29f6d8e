using System.Globalization;

namespace LocalLlm.Tool;

/// <summary>Memory sizes in readable form.</summary>
internal static class ByteSize
{
    /// <summary>The size in the largest binary unit that fits, with two decimals.</summary>
    public static string Text(long bytes) => bytes switch
    {
        >= 1L << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):F2} GiB"),
        >= 1L << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):F2} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:F2} KiB"),
    };
}
