using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's stable sort. It is our own merge sort: the library's sorts are unstable or hide errors of the comparison.</summary>
internal static class Sorting
{
    public static List<object?> Sort(RenderContext c, List<object?> items, Func<object?, object?> key, bool reverse)
    {
        var entries = items.ConvertAll(item => (Item: item, Key: key(item))).ToArray();
        // Equal elements keep their order in both directions.
        if (reverse)
            Array.Reverse(entries);
        Merge(c, entries, new (object?, object?)[entries.Length], 0, entries.Length);
        if (reverse)
            Array.Reverse(entries);
        return Array.ConvertAll(entries, entry => entry.Item).ToList();
    }

    private static void Merge(
        RenderContext c, (object? Item, object? Key)[] entries, (object? Item, object? Key)[] buffer, int from, int to)
    {
        if (to - from < 2)
            return;
        var middle = (from + to) / 2;
        Merge(c, entries, buffer, from, middle);
        Merge(c, entries, buffer, middle, to);
        Array.Copy(entries, from, buffer, from, to - from);
        for (int left = from, right = middle, at = from; at < to; at++)
        {
            var takeRight = left == middle || (right < to && Py.Less(c, buffer[right].Key, buffer[left].Key));
            entries[at] = buffer[takeRight ? right++ : left++];
        }
    }
}
