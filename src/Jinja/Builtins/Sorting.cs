using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Builtins;

/// <summary>Python's stable sort. A merge sort of our own: the library's sorts are unstable or hide the comparison's errors.</summary>
internal static class Sorting
{
    public static List<object?> Sort(
        RenderContext c, List<object?> items, Func<object?, object?> key, bool reverse, Func<object?, object?, bool>? less = null)
    {
        var entries = items.ConvertAll(item => (Item: item, Key: key(item))).ToArray();
        // Equal elements keep their order in both directions.
        if (reverse)
            Array.Reverse(entries);
        Merge(entries, new (object?, object?)[entries.Length], 0, entries.Length, less ?? ((x, y) => Py.Less(c, x, y)));
        if (reverse)
            Array.Reverse(entries);
        return Array.ConvertAll(entries, entry => entry.Item).ToList();
    }

    private static void Merge(
        (object? Item, object? Key)[] entries, (object? Item, object? Key)[] buffer, int from, int to, Func<object?, object?, bool> less)
    {
        if (to - from < 2)
            return;
        var middle = (from + to) / 2;
        Merge(entries, buffer, from, middle, less);
        Merge(entries, buffer, middle, to, less);
        Array.Copy(entries, from, buffer, from, to - from);
        for (int left = from, right = middle, at = from; at < to; at++)
        {
            var takeRight = left == middle || (right < to && less(buffer[right].Key, buffer[left].Key));
            entries[at] = buffer[takeRight ? right++ : left++];
        }
    }
}
