using System.Globalization;

namespace LocalLlm.Tool.Commands;

/// <summary>A clock that stands still, for templates that use the date.</summary>
/// <param name="localTime">The local time.</param>
internal sealed class FixedClock(DateTime localTime) : TimeProvider
{
    private static readonly string[] Formats =
    [
        "yyyy-MM-dd", "yyyy-MM-dd HH:mm", "yyyy-MM-ddTHH:mm", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-ddTHH:mm:ss",
        "yyyy-MM-dd HH:mm:ss.FFFFFFF", "yyyy-MM-ddTHH:mm:ss.FFFFFFF", "yyyyMMddTHHmmss", "yyyyMMdd",
    ];

    private static readonly string[] ZonedFormats = [.. Formats.Where(format => format.Contains('H')).Select(format => format + "K")];

    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => new(DateTime.SpecifyKind(localTime, DateTimeKind.Unspecified), TimeSpan.Zero);

    /// <summary>
    /// Reads a local time in ISO 8601. An offset or Z after it is ignored: the text gives the local time as it is.
    /// </summary>
    public static bool TryParse(string text, out FixedClock? clock)
    {
        clock = null;
        text = text.Trim();
        if (DateTime.TryParseExact(text, Formats, CultureInfo.InvariantCulture, DateTimeStyles.None, out var time))
            clock = new(time);
        else if (DateTimeOffset.TryParseExact(text, ZonedFormats, CultureInfo.InvariantCulture, DateTimeStyles.None, out var zoned))
            clock = new(zoned.DateTime);
        return clock is not null;
    }
}
