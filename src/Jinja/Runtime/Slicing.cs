using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Runtime;

/// <summary><c>value[start:stop:step]</c></summary>
internal static class Slicing
{
    public static object? Apply(RenderContext c, object? value, object? start, object? stop, object? step)
    {
        switch (value)
        {
            case Undefined undefined:
                throw undefined.Fail();
            case List<object?> list:
                return new List<object?>(Pick(c, list, Indices(list.Count, start, stop, step)));
            case PyTuple tuple:
                return new PyTuple(Pick(c, tuple.Items, Indices(tuple.Items.Length, start, stop, step)));
            case PyRange range:
                var (from, to, by, count) = Indices(range.Count, start, stop, step);
                return new PyRange(range.Start + (from * range.Step), range.Start + (to * range.Step), range.Step * by, count);
            case string or Markup:
                var text = (value as Markup)?.Text ?? (string)value;
                c.Scan(text);
                var slice = Text(c, text, Indices(PyText.Length(text), start, stop, step));
                return value is Markup ? new Markup(slice) : slice;
            case PyDict:
                throw TemplateException.Type("unhashable type: 'slice'");
            default:
                throw TemplateException.Type($"'{Py.TypeName(value)}' object is not subscriptable");
        }
    }

    private static (int Start, int Stop, long Step, int Count) Indices(int length, object? start, object? stop, object? step)
    {
        var by = Index(step) ?? 1;
        if (by == 0)
            throw TemplateException.Value("slice step cannot be zero");
        var low = by < 0 ? -1 : 0;
        var high = by < 0 ? length - 1 : length;
        var from = Clamp(Index(start) ?? (by < 0 ? length - 1L : 0), start is null);
        var to = Clamp(Index(stop) ?? (by < 0 ? -1L : length), stop is null);
        var distance = by < 0 ? (long)from - to : (long)to - from;
        var count = distance <= 0 ? 0 : by == long.MinValue ? 1 : ((distance - 1) / Math.Abs(by)) + 1;
        return (from, to, by, (int)count);

        int Clamp(long index, bool isDefault) =>
            (int)Math.Clamp(index < 0 && !isDefault ? Math.Max(index, -long.MaxValue / 2) + length : index, low, high);
    }

    private static long? Index(object? value) => value is null ? null
        : PyNumber.TryIndex(value, out var index) ? index
        : throw (value as Undefined)?.Fail() ?? TemplateException.Type(
            "slice indices must be integers or None or have an __index__ method");

    private static object?[] Pick(RenderContext c, IList<object?> items, (int Start, int Stop, long Step, int Count) slice)
    {
        c.AllocateItems(slice.Count);
        c.Work(slice.Count * 8L);
        var result = new object?[slice.Count];
        for (var i = 0; i < result.Length; i++)
            result[i] = items[(int)(slice.Start + (i * slice.Step))];
        return result;
    }

    private static string Text(RenderContext c, string text, (int Start, int Stop, long Step, int Count) slice)
    {
        c.Allocate(slice.Count);
        if (slice.Step == 1)
            return PyText.Slice(text, slice.Start, slice.Stop);
        if (!PyText.HasSurrogates(text))
        {
            c.Work(slice.Count * 4L);
            return string.Create(slice.Count, (text, slice), static (result, state) =>
            {
                for (var i = 0; i < result.Length; i++)
                    result[i] = state.text[(int)(state.slice.Start + (i * state.slice.Step))];
            });
        }

        c.Explode(text);
        var characters = PyText.Characters(text);
        var result = new string[slice.Count];
        for (var i = 0; i < result.Length; i++)
            result[i] = characters[slice.Start + (i * slice.Step)];
        return string.Concat(result);
    }
}
