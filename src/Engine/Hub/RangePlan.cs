using System.Globalization;
using System.Text;

namespace LocalLlm.Hub;

/// <summary>
/// Records which bytes of an unfinished file are on the disk. The record lies beside the file, so that a later process can resume. It needs
/// no trust, because the whole file is hashed at the end.
/// </summary>
internal sealed class RangePlan
{
    private const string Magic = "localllm ranges 1";
    private const int MaxRanges = 64;
    private const int MaxPlanBytes = 16 << 10;

    private readonly Lock _lock = new();
    private readonly string _path;
    private readonly long _size;

    private RangePlan(string partial, long size)
    {
        _path = PathOf(partial);
        _size = size;
    }

    /// <summary>The ranges, in order, without gaps.</summary>
    public IReadOnlyList<ByteRange> Ranges { get; private set; } = [];

    /// <summary>The strong etag that the bytes came with, or null.</summary>
    public string? Etag { get; set; }

    /// <summary>Number of bytes on the disk.</summary>
    public long Done => Ranges.Sum(range => range.Done);

    /// <summary>The plan of an unfinished file: the one beside it if that matches, else a new one.</summary>
    /// <param name="partial">The unfinished file, which may not exist.</param>
    /// <param name="size">Bytes of the whole file.</param>
    /// <param name="beginning">If there is no plan: the number of valid bytes at the start of <paramref name="partial"/>.</param>
    /// <param name="count">Number of ranges in a new plan.</param>
    public static RangePlan Open(string partial, long size, long beginning, int count)
    {
        var plan = new RangePlan(partial, size);
        if (!plan.TryRead(Disk.Length(partial) ?? 0))
            plan.Split(beginning, count);
        return plan;
    }

    /// <summary>Removes the plan of a file that is finished or abandoned.</summary>
    public static void Delete(string partial) => File.Delete(PathOf(partial));

    /// <summary>Starts over with one range for the whole file.</summary>
    public void Restart()
    {
        Etag = null;
        Split(0, 1);
        Save();
    }

    /// <summary>Saves the progress of the ranges.</summary>
    public void Save()
    {
        lock (_lock)
        {
            var text = new StringBuilder(Magic).Append(CultureInfo.InvariantCulture, $"\n{_size}\n{Etag}\n");
            foreach (var range in Ranges)
                text.Append(CultureInfo.InvariantCulture, $"{range.Start} {range.End} {range.Done}\n");
            Disk.Do(_path, () => Disk.WriteWhole(_path, text.ToString()));
        }
    }

    private static string PathOf(string partial) => partial + ".ranges";

    private void Split(long beginning, int count)
    {
        var ranges = new List<ByteRange>();
        if (beginning > 0)
            ranges.Add(new(0, beginning, beginning));
        var rest = _size - beginning;
        for (var i = 0; i < count && rest > 0; i++)
            ranges.Add(new(beginning + (rest / count * i), i == count - 1 ? _size : beginning + (rest / count * (i + 1)), 0));
        Ranges = ranges;
    }

    private bool TryRead(long bytesOnDisk)
    {
        if (Disk.Length(_path) is null or > MaxPlanBytes)
            return false;
        var lines = File.ReadAllText(_path).Split('\n', StringSplitOptions.TrimEntries);
        if (lines.Length < 4 || lines.Length > MaxRanges + 4 || lines[0] != Magic || lines[1] != _size.ToString(CultureInfo.InvariantCulture))
            return false;
        var ranges = new List<ByteRange>();
        foreach (var line in lines[3..].Where(line => line.Length > 0))
        {
            var numbers = line.Split(' ').Select(text => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1).ToArray();
            if (numbers is not [var start, var end, var done] || start != (ranges.Count == 0 ? 0 : ranges[^1].End) || end <= start || end > _size
                || done < 0 || done > end - start || (done > 0 && start + done > bytesOnDisk))
            {
                return false;
            }

            ranges.Add(new(start, end, done));
        }

        if (ranges.Count == 0 || ranges[^1].End != _size)
            return false;
        (Ranges, Etag) = (ranges, lines[2].Length == 0 ? null : lines[2]);
        return true;
    }
}
